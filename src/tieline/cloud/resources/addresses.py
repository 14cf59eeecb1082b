"""Which addresses a resource may name: what is behind a link always, and else what the platform's operator allows.

A literal address, however it is spelled, is judged when the resource is recorded. A host name is judged as a name then,
and what it resolves to where it is connected to, by the same functions (see tieline.integration.sinks.base.reach).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from tieline.base import cidr
from tieline.cloud.model.problems import PlatformError
from tieline.integration.sinks.base.reach import LOOPBACK, Ip, Reach, number, refusal, within

LOCAL_NAMES = ("localhost", ".localhost")  # RFC 6761, 6.3


def check_address(host: str, inside: bool, allowed: Sequence[str]) -> None:
    """Raises PlatformError 403 for a host that resources may not name.

    `inside` says that the agent is in a network of the platform's, whose loopback leads to the platform. `allowed`
    are networks in CIDR and names, `.example.com` with all below it; none means everything but the agent's own.
    """
    literal = number(host)
    if allowed:
        if not any(_fits(host, literal, entry) for entry in allowed):
            raise _forbidden(host, f"allowed are {', '.join(allowed)}, and addresses of private links")
        return
    if literal is not None and (why := refusal(literal, Reach(loopback=not inside))):
        raise _forbidden(host, why)
    if inside and _matches(host, LOCAL_NAMES):
        raise _forbidden(host, LOOPBACK)


def networks(allowed: Sequence[str]) -> tuple[str, ...]:
    """The entries of an allow-list that are networks or addresses."""
    return tuple(entry for entry in allowed if "/" in entry or number(entry) is not None)


def check_entry(entry: str) -> str:
    """The entry of an allow-list; raises ValueError where it is neither a network nor a name."""
    if "/" in entry:
        cidr.network(entry)
    elif number(entry) is None and not entry.strip(".").replace("-", "").replace(".", "").isalnum():
        raise ValueError(f"{entry!r} is neither a network nor a name")
    return entry


def _fits(host: str, literal: Ip | None, entry: str) -> bool:
    return _matches(host, (entry,)) if literal is None else within(literal, entry)


def _matches(host: str, names: Sequence[str]) -> bool:
    plain = unicodedata.normalize("NFKC", host).lower().rstrip(".")
    return any(plain == name.lower() or (name.startswith(".") and plain.endswith(name.lower())) for name in names)


def _forbidden(host: str, why: str) -> PlatformError:
    message = f"a resource may not name {host!r}: {why}"
    return PlatformError(403, "FORBIDDEN_ADDRESS", message, "reach it through a private link, or ask the operator")
