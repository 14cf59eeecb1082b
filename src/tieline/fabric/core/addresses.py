"""Which address is next: in a subnet, and on a wire."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

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
    base = int(network.network_address)
    return (_dotted(base + n) for n in range(4, network.num_addresses - 1))


def available(cidr: str, used: int) -> int:
    """How many addresses a subnet still has."""
    return max(0, IPv4Network(cidr).num_addresses - 5 - used)


def next_free(cidr: str, used: set[str]) -> str | None:
    """The first address of a subnet that nobody has, or None when it is full."""
    return next((address for address in assignable(cidr) if address not in used), None)


def wire_pairs(used: set[str]) -> Iterator[tuple[str, str]]:
    """Free /31 pairs (near, far) for wires; `used` are the near addresses present in either of the two VPCs.

    The search begins where it would end had no wire ever gone, so that many wires do not make it long.
    """
    base, size = int(WIRE_NETWORK.network_address), WIRE_NETWORK.num_addresses
    for step in range(0, size, 2):
        offset = (256 + 2 * len(used) + step) % size  # behind the first /24, which is reserved
        if offset >> 8 not in WIRE_RESERVED and (near := _dotted(base + offset)) not in used:
            yield near, _dotted(base + offset + 1)


def _dotted(address: int) -> str:
    return f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"
