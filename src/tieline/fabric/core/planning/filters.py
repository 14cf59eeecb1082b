"""Security groups as filters: which addresses of a VPC are guarded, and what may begin a flow to or from them.

Pure. Rules (AWS, security groups): an interface with several groups has all their rules; a rule that names a group
means the addresses of that group's members in the same VPC; answers to what was let through pass by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Literal

from tieline.fabric.core.records import Endpoint, LoadBalancer, NetworkInterface, Permission, SecurityGroup
from tieline.fabric.core.topology import Filter, Guard, Permit
from tieline.fabric.core.world import World


def of_vpc(world: World, vpc: str) -> tuple[tuple[Filter, ...], tuple[Guard, ...]]:
    """The distinct filters of a VPC, and which addresses they are in front of."""
    interfaces = world.where(NetworkInterface, "vpc", vpc)
    members: dict[str, list[str]] = {}
    for interface in interfaces:
        for group in interface.groups:
            members.setdefault(group, []).append(interface.address)
    wanted: dict[str, tuple[str, ...]] = {}
    guards = []
    for address, place, groups in (*_placed(interfaces), *_gates(world, vpc)):
        id = _id(groups)
        wanted[id] = groups
        guards.append(Guard(address=address, filter=id, place=place))
    made = (_filter(world, id, groups, members) for id, groups in sorted(wanted.items()))
    return tuple(made), tuple(sorted(guards, key=lambda g: (g.address, g.place)))


Placed = tuple[str, Literal["host", "door", "gate", "node"], tuple[str, ...]]


def _placed(interfaces: Iterable[NetworkInterface]) -> Iterator[Placed]:
    """An interface without groups is open: a load balancer that was made without any."""
    for one in interfaces:
        if not one.groups:
            continue
        if one.purpose == "interface":
            yield one.address, "host", one.groups
        else:
            yield one.address, "door", one.groups
        if one.purpose == "network_load_balancer":
            yield one.address, "node", one.groups


def _gates(world: World, vpc: str) -> Iterator[Placed]:
    """A balancer with groups filters what comes by PrivateLink as well, unless it is told not to."""
    for endpoint in world.where(Endpoint, "vpc", vpc):
        for door in endpoint.doors:
            balancer = world.get(LoadBalancer, door.balancer)
            if balancer is not None and balancer.groups and balancer.groups_on_private_link:
                yield door.address, "gate", balancer.groups


def _id(groups: tuple[str, ...]) -> str:
    """One name for any order of the same groups; AWS allows so many of them that all their ids would be too long."""
    if len(groups) == 1:
        return groups[0]
    return "sgs-" + sha256(" ".join(sorted(groups)).encode()).hexdigest()[:17]


def _filter(world: World, id: str, groups: Iterable[str], members: dict[str, list[str]]) -> Filter:
    found = [group for one in groups if (group := world.get(SecurityGroup, one))]
    permits = [(p.egress, permit) for group in found for p in group.permissions for permit in _permits(p, members)]
    inward = {permit for egress, permit in permits if not egress}
    outward = {permit for egress, permit in permits if egress}
    return Filter(id=id, inward=_sorted(inward), outward=_sorted(outward))


def _sorted(permits: Iterable[Permit]) -> tuple[Permit, ...]:
    return tuple(sorted(permits, key=lambda p: (p.protocol, p.peer, p.first, p.last)))


def _permits(permission: Permission, members: dict[str, list[str]]) -> Iterator[Permit]:
    """IPv6 rules permit nothing: no IPv6 passes anyway."""
    peers = [permission.cidr] if permission.cidr else members.get(permission.group or "", [])
    first, last = permission.from_port, permission.to_port
    for peer in peers:
        match permission.protocol:
            case "tcp":
                yield Permit(protocol="tcp", peer=peer, first=first, last=last)
            case "udp":
                yield Permit(protocol="udp", peer=peer, first=first, last=last)
            case "icmp":
                low, high = _messages(first, last)
                yield Permit(protocol="icmp", peer=peer, first=low, last=high)
            case "-1":
                yield Permit(protocol="all", peer=peer)


def _messages(type: int, code: int) -> tuple[int, int]:
    """AWS's type and code, -1 for all of them, as a range of type * 256 + code."""
    if type == -1:
        return 0, 65535
    return (type * 256, type * 256 + 255) if code == -1 else (type * 256 + code, type * 256 + code)
