"""Which names a server answers to, so that no name of somebody else's leads a browser to it (DNS rebinding).

Served are the names of loopback, the address that the client connected to, and what the operator named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

LOOPBACK = "localhost"  # and what ends with it: resolvers answer these themselves (RFC 6761, 6.3)
#: A Host header (RFC 9110, 7.2): a name, an IPv4 address or an IPv6 address in brackets, and perhaps a port.
HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9_.-]{1,253}))(?::[0-9]{1,5})?", re.ASCII)


class Hosts:
    """The names of one server; `*.example.com` stands for one label before the rest, as in a certificate."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(_plain(name) for name in names)
        self.serves = lru_cache(maxsize=1024)(self._serves)

    def add(self, names: Iterable[str]) -> None:
        """Serve these, too, from now on."""
        self._names |= {_plain(name) for name in names}
        self.serves.cache_clear()

    def _serves(self, header: bytes, connected: str) -> bool:
        """Whether a Host header is for this server; `connected` is the address that the client connected to."""
        found = HOST.fullmatch(header.decode("latin-1").lower())
        if found is None:
            return False
        name = found["name"].removesuffix(".") if found["name"] else found["six"]
        literal = _literal(name)
        if literal is not None:
            return literal.is_loopback or literal == _literal(connected) or str(literal) in self._names
        _, _, parent = name.partition(".")
        return name == LOOPBACK or name.endswith(f".{LOOPBACK}") or name in self._names or f"*.{parent}" in self._names


def check_name(text: str) -> str:
    """A name for the list; raises ValueError where it is none: no port, no path, no scheme."""
    name = _plain(text)
    found = HOST.fullmatch(f"[{name}]" if ":" in name else name.removeprefix("*."))
    if found is None or (found["six"] and _literal(name) is None):
        raise ValueError(f"{text!r} is no host name or address: give it as clients write it, without a port")
    return name


def _plain(name: str) -> str:
    lowered = name.strip().lower().removesuffix(".")
    literal = _literal(lowered.removeprefix("[").removesuffix("]"))
    return str(literal) if literal is not None else lowered


def _literal(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
