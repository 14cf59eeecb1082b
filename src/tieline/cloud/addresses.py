"""Which addresses a resource may name: what is behind a link always, and else what the platform's operator allows.

A literal address is judged when the resource is recorded. A host name is judged as a name: what it resolves to is known
to the agent's network alone, so that an operator who must be sure allows addresses and names of trusted zones only.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from tieline import cidr
from tieline.cloud.problems import PlatformError

LOCAL_NAMES = ("localhost", ".localhost")  # RFC 6761, 6.3


def check_address(host: str, inside: bool, allowed: Sequence[str]) -> None:
    """Raises PlatformError 403 for a host that resources may not name.

    `inside` says that the agent is in a network of the platform's, whose loopback leads to the platform. `allowed`
    are networks in CIDR and names, `.example.com` with all below it; none means everything but the agent's own.
    """
    literal = _literal(host)
    if allowed:
        if not any(_fits(host, literal, entry) for entry in allowed):
            raise _forbidden(host, f"allowed are {', '.join(allowed)}, and addresses of private links")
        return
    if literal is not None and (literal.is_link_local or literal.is_unspecified or literal.is_multicast):
        raise _forbidden(host, "link-local addresses lead to the machine's own services")
    if inside and ((literal is not None and literal.is_loopback) or _matches(host, LOCAL_NAMES)):
        raise _forbidden(host, "the loopback of a deployment leads to the platform itself")


def check_entry(entry: str) -> str:
    """The entry of an allow-list; raises ValueError where it is neither a network nor a name."""
    if "/" in entry:
        cidr.network(entry)
    elif _literal(entry) is None and not entry.strip(".").replace("-", "").replace(".", "").isalnum():
        raise ValueError(f"{entry!r} is neither a network nor a name")
    return entry


def _fits(host: str, literal: IPv4Address | IPv6Address | None, entry: str) -> bool:
    if literal is None:
        return _matches(host, (entry,))
    try:
        return literal in ip_network(entry)
    except ValueError:
        return False


def _matches(host: str, names: Sequence[str]) -> bool:
    plain = host.lower().rstrip(".")
    return any(plain == name.lower() or (name.startswith(".") and plain.endswith(name.lower())) for name in names)


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(host)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _forbidden(host: str, why: str) -> PlatformError:
    message = f"a resource may not name {host!r}: {why}"
    return PlatformError(403, "FORBIDDEN_ADDRESS", message, "reach it through a private link, or ask the operator")
