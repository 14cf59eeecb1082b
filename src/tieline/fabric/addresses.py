"""Which address is next: in a subnet, and on a wire."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network

WIRE_NETWORK = IPv4Network("169.254.0.0/16")  # link-local: no VPC may use it, so a wire can collide with none
# RFC 3927 reserves the first and last /24; 169.254.169.0/24 holds AWS's instance services.
WIRE_RESERVED = frozenset({0, 169, 255})


def resolver(cidr: str) -> str:
    """The VPC's DNS server: its base address plus two."""
    return str(IPv4Network(cidr)[2])


def router(cidr: str) -> str:
    """The subnet's router: its base address plus one."""
    return str(IPv4Network(cidr)[1])


def assignable(cidr: str) -> Iterator[str]:
    """A subnet's addresses in order, without the first four and the last, which AWS reserves."""
    network = IPv4Network(cidr)
    return (str(network[n]) for n in range(4, network.num_addresses - 1))


def available(cidr: str, used: int) -> int:
    """How many addresses a subnet still has."""
    return max(0, IPv4Network(cidr).num_addresses - 5 - used)


def next_free(cidr: str, used: set[str]) -> str | None:
    """The first address of a subnet that nobody has, or None when it is full."""
    return next((address for address in assignable(cidr) if address not in used), None)


def wire_pairs(used: set[str]) -> Iterator[tuple[str, str]]:
    """Free /31 pairs (near, far) for wires; `used` are wire addresses present in either of the two VPCs."""
    base = int(WIRE_NETWORK.network_address)
    for offset in range(0, 2**16, 2):
        if offset >> 8 not in WIRE_RESERVED:
            near, far = str(IPv4Address(base + offset)), str(IPv4Address(base + offset + 1))
            if near not in used and far not in used:
                yield near, far
