"""The part of a VPC's table that enforces its security groups, as text: sets and a chain or two for each filter.

Pure. Only a flow's first packet comes here, and passes at most five look-ups however many groups, rules and hosts
there are: an address leads to its filter's chain, and that to sets of disjoint ranges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

from tieline.fabric.core.topology import Filter, Guard, Permit, Vpc

ADDRESSES = "type ipv4_addr\n    flags interval"
PORTS = "type ipv4_addr . inet_proto . inet_service\n    flags interval"
MESSAGES = "type ipv4_addr . icmp_type . icmp_code\n    flags interval"
VERDICTS = "type ipv4_addr : verdict"


@dataclass(frozen=True, slots=True)
class Side:
    """One way through a filter: which of its sets are asked, for which end of the flow, by which port."""

    map: str
    prefix: str
    sets: str
    peer: str
    port: str


# Before translation, what a flow was aimed at is only in its conntrack entry; after it, in the packet.
AIMED = "ct original proto-dst"
SIDES = {
    "host": (
        Side("leaving", "from", "out", "ct original ip daddr", AIMED),
        Side("arriving", "meet", "in", "ip saddr", "th dport"),
    ),
    "door": (Side("doors", "ask", "in", "ip saddr", AIMED),),
    "gate": (Side("gates", "ask", "in", "ip saddr", AIMED),),
    "node": (Side("balancing", "by", "out", "ip daddr", "th dport"),),
}
MAPS = tuple(dict.fromkeys(side.map for sides in SIDES.values() for side in sides))

Block = tuple[str, str, str, Sequence[str]]  # map or set, name, type, elements
Span = tuple[int, int]  # first and last


def blocks(vpc: Vpc) -> Iterator[Block]:
    """The sets of every filter, and the maps that lead to their chains."""
    for one in vpc.filters:
        for sets, permits in (("in", one.inward), ("out", one.outward)):
            yield from _sets(f"{sets}-{one.id}", permits)
    for name in MAPS:
        yield "map", name, VERDICTS, [f"{g.address} : jump {_chain_name(s, g)}" for g, s in _uses(vpc) if s.map == name]


def chains(vpc: Vpc) -> Iterator[str]:
    """A chain for each side of each filter that some address uses."""
    filters = {one.id: one for one in vpc.filters}
    used = {_chain_name(side, guard): (side, filters[guard.filter]) for guard, side in _uses(vpc)}
    for name, (side, filter) in sorted(used.items()):
        lines = "".join(f"    {rule}\n" for rule in _rules(side, filter))
        yield f"  chain {name} {{\n{lines}    goto refuse\n  }}"


def boxes(permits: Iterable[Permit]) -> Iterator[tuple[Span, Span]]:
    """Ranges of addresses, each with a range of ports: together what the permits say, and no two overlap.

    The kernel takes no overlapping elements. Adjacent port ranges stay apart: an ICMP type does not continue another.
    """
    pending = sorted((*_addresses(p.peer), p.first, p.last) for p in permits)
    edges = sorted({edge for low, high, *_ in pending for edge in (low, high + 1)})
    active: list[tuple[int, int, int, int]] = []
    strips: list[tuple[Span, list[Span]]] = []
    at = 0
    for start, end in pairwise(edges):
        while at < len(pending) and pending[at][0] <= start:
            active.append(pending[at])
            at += 1
        active = [one for one in active if one[1] >= start]
        ports = _union((first, last) for _, _, first, last in active)
        if strips and strips[-1][0][1] == start - 1 and strips[-1][1] == ports:
            strips[-1] = ((strips[-1][0][0], end - 1), ports)
        elif ports:
            strips.append(((start, end - 1), ports))
    return (((low, high), span) for (low, high), ports in strips for span in ports)


def _uses(vpc: Vpc) -> Iterator[tuple[Guard, Side]]:
    known = {one.id for one in vpc.filters}
    return ((guard, side) for guard in vpc.guards if guard.filter in known for side in SIDES[guard.place])


def _chain_name(side: Side, guard: Guard) -> str:
    return f"{side.prefix}-{guard.filter}"


def _rules(side: Side, filter: Filter) -> Iterator[str]:
    name, protocols = f"{side.sets}-{filter.id}", {p.protocol for p in _permits(side, filter)}
    if "all" in protocols:
        yield f"{side.peer} @{name}-any return"
    if protocols & {"tcp", "udp"}:
        yield f"ip protocol {{ tcp, udp }} {side.peer} . meta l4proto . {side.port} @{name} return"
    if "icmp" in protocols:
        yield f"ip protocol icmp {side.peer} . icmp type . icmp code @{name}-icmp return"


def _permits(side: Side, filter: Filter) -> Sequence[Permit]:
    return filter.inward if side.sets == "in" else filter.outward


def _sets(name: str, permits: Sequence[Permit]) -> Iterator[Block]:
    by_protocol = {
        kind: list(boxes(p for p in permits if p.protocol == kind)) for kind in ("tcp", "udp", "icmp", "all")
    }
    if found := by_protocol["all"]:
        yield "set", f"{name}-any", ADDRESSES, [_range(addresses) for addresses, _ in found]
    if by_protocol["tcp"] or by_protocol["udp"]:
        elements = [f"{_range(a)} . {kind} . {_span(p)}" for kind in ("tcp", "udp") for a, p in by_protocol[kind]]
        yield "set", name, PORTS, elements
    if found := by_protocol["icmp"]:
        elements = [f"{_range(a)} . {_span((m[0] >> 8, m[1] >> 8))} . {_codes(m)}" for a, m in found]
        yield "set", f"{name}-icmp", MESSAGES, elements


def _codes(messages: Span) -> str:
    return _span((messages[0] & 255, messages[1] & 255))


def _addresses(peer: str) -> Span:
    network = IPv4Network(peer)
    return int(network.network_address), int(network.broadcast_address)


def _union(spans: Iterable[Span]) -> list[Span]:
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return found


def _range(addresses: Span) -> str:
    low, high = map(IPv4Address, addresses)
    return f"{low}" if low == high else f"{low}-{high}"


def _span(span: Span) -> str:
    return f"{span[0]}" if span[0] == span[1] else f"{span[0]}-{span[1]}"
