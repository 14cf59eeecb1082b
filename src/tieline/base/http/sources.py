"""One sender under many addresses: what limits count by."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

SUBSCRIBER = 64  # bits of an IPv6 address that one customer of a network is given at least (RFC 6177, 2)


@lru_cache(maxsize=4096)
def source(address: str) -> str:
    """What stands for a client's address: loopback as a whole, an IPv6 network of 64 bits, else the address itself."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    found = getattr(found, "ipv4_mapped", None) or found
    if found.is_loopback:
        return "loopback"
    if isinstance(found, IPv6Address):
        return str(ip_network(f"{found}/{SUBSCRIBER}", strict=False))
    return str(found)
