"""Networks as people write them: ADDRESS/LENGTH in CIDR notation (RFC 4632, 3.1) and in no other spelling.

Python's own reader also takes masks (10.0.0.0/255.255.0.0), wildcard masks and lengths such as /016, which other
programs read as another network, or not at all.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network

PART = "(?:0|[1-9][0-9]{0,2})"
FOUR = re.compile(rf"{PART}(?:\.{PART}){{3}}/(?:0|[1-9][0-9]?)", re.ASCII)
SIX = re.compile(r"[0-9A-Fa-f:.]{2,45}/(?:0|[1-9][0-9]{0,2})", re.ASCII)


def network4(text: str, *, strict: bool = True) -> IPv4Network:
    """An IPv4 network; raises ValueError, also for bits behind the length unless `strict` is off, which drops them."""
    if not FOUR.fullmatch(text):
        raise ValueError(f"{text!r} is no IPv4 network: write it as 10.0.0.0/16")
    return IPv4Network(text, strict=strict)


def network6(text: str, *, strict: bool = True) -> IPv6Network:
    """An IPv6 network, in the same way."""
    if not SIX.fullmatch(text) or ":" not in text:
        raise ValueError(f"{text!r} is no IPv6 network: write it as 2001:db8::/32")
    return IPv6Network(text, strict=strict)


def network(text: str) -> IPv4Network | IPv6Network:
    """A network of either kind; raises ValueError."""
    return network6(text) if ":" in text else network4(text)
