"""One VPC's nftables table as text: what is let through, and which address becomes which.

Pure.

Maps are keyed by address, protocol and port, so that a link costs elements and never a rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from tieline.fabric.core.topology import Crossing, Listener, Node, Target, Vpc, Wire
from tieline.fabric.kernel.nft import filtering, metering
from tieline.fabric.kernel.relay import announcements
from tieline.fabric.kernel.relay.announcements import Announcement
from tieline.fabric.kernel.system.names import wire_link

TABLE = "ip tieline"

ENDPOINTS = "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service"
LISTENERS = "type ipv4_addr . inet_proto . inet_service : verdict"
ARRIVALS = "type ifname . ipv4_addr . inet_proto . inet_service : verdict"
SOURCES = "type ipv4_addr : ipv4_addr"
REFUSING = "type ipv4_addr . inet_proto . inet_service"
ANNOUNCING = REFUSING

# Hosts enter by h-*, wires by w-*. Hosts reach endpoints and nodes; a wire reaches nothing but its own listeners.
# A target sees the node's address, a provider sees the wire's: what a flow was aimed at says whose source it takes.
# What enters the VPC itself: answers to what it asked (a probe), names, what an announcer accepts, and what the kernel
# answers with a reset, as nothing listens: a segment of no known flow, or a listener without targets. All else is
# dropped in silence, as on AWS. What an announcer sends to its own node goes on to the targets.
# Of what the VPC's kernel says itself, an error that belongs to no flow crosses no wire: it answers a packet whose
# source was not checked, as it had no way on, and goes to whoever that named.
# Security groups see a flow's first packet alone. A host's own way out, an endpoint's and a balancer's way in are known
# before the source is translated; whom a target meets, and what a balancer sends (probes too), only afterwards.
CHAINS = """
  chain arrive {{
    type nat hook prerouting priority dstnat; policy accept;
    iifname "w-*" ip protocol {{ tcp, udp }} iifname . ip daddr . meta l4proto . th dport vmap @arrivals
    iifname "h-*" ip daddr . meta l4proto . th dport @opened
    iifname "h-*" ip protocol {{ tcp, udp }} dnat ip to ip daddr . meta l4proto . th dport map @endpoints
    iifname "h-*" ip protocol {{ tcp, udp }} ip daddr . meta l4proto . th dport vmap @listeners
  }}
  chain announce {{
    type nat hook output priority -100; policy accept;
    ip protocol tcp ip daddr . meta l4proto . th dport vmap @announced
  }}
  chain leave {{
    type nat hook postrouting priority srcnat; policy accept;
    ct status dnat snat to ct original ip daddr map @sources
  }}
  chain pass {{
    type filter hook forward priority filter; policy drop;
{clamped}{forwarded}    ct state established,related accept
    iifname "h-*" jump aim
    ct status dnat accept
    iifname "h-*" oifname "h-*" accept
  }}
  chain enter {{
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
{entering}    ct state established,related accept
    tcp flags & (fin|syn|rst|ack) != syn accept
    iifname "h-*" ip daddr {resolver} ip protocol {{ tcp, udp }} th dport 53 accept
    iifname "h-*" jump aim
    ip daddr . meta l4proto . th dport @unserved
    ip protocol {{ tcp, udp }} ip daddr . meta l4proto . th dport @refusing accept
    iifname "h-*" ip protocol tcp ip daddr . meta l4proto . th dport @announcing accept
    ip daddr @closed
  }}
  chain speak {{
    type filter hook output priority filter; policy accept;
    oifname "w-*" ip protocol icmp ct status confirmed accept
    oifname "w-*" ip protocol icmp drop
  }}
  chain aim {{
    ip saddr vmap @leaving
    ct original ip daddr vmap @doors
    ct original ip daddr vmap @gates
  }}
  chain deliver {{
    type filter hook postrouting priority srcnat + 1; policy accept;
    ct state new oifname "h-*" goto meet
  }}
  chain meet {{
    ip saddr vmap @balancing
    ip daddr vmap @arriving
  }}
"""

# A network that was attached may lead through a tunnel, of whose smaller MTU only its link here knows, and which drops
# in silence: both ends are told of it as they connect.
CLAMP = "    tcp flags syn tcp option maxseg size set rt mtu\n"

STICKY_SLOTS = 128  # by which sources are shared out; with four targets, a share is 15 % off as a rule
SEED = "0x7469656c"  # any fixed number: without one, the kernel draws another at each load, and sources would move


def table(vpc: Vpc, outgoing: Sequence[Wire], incoming: Sequence[Wire]) -> str:
    """The VPC's whole table. A crossing to a node that is not there, or a port that is not open, leads nowhere."""
    nodes = {node.address: node for node in vpc.nodes}
    inward = [
        (wire, crossing, nodes[crossing.node]) for wire, crossing in _crossings(incoming) if crossing.node in nodes
    ]
    outward = [crossing for wire, crossing in _crossings(outgoing) if wire.consumer != wire.provider]
    parts = [
        *(_idle(protocol, seconds) for protocol, seconds in sorted(_timeouts(vpc.nodes))),
        _map("map", "endpoints", ENDPOINTS, _endpoints(outward)),
        _map("map", "listeners", LISTENERS, [*_own(vpc.nodes), *_looped(inward)]),
        _map("map", "arrivals", ARRIVALS, _arrivals(inward)),
        _map("map", "sources", SOURCES, _sources(vpc.nodes, outward, inward)),
        _map("map", "announced", LISTENERS, _announced(vpc.nodes)),
        _map("set", "announcing", ANNOUNCING, _announcing(announcements.wanted(vpc, outgoing))),
        _map("set", "refusing", REFUSING, _refusing(vpc.nodes, inward)),
        *(_map(*block) for block in filtering.blocks(vpc)),
        *(_map(*block) for block in metering.blocks(vpc, outgoing, incoming)),
        *(_chain(node, listener) for node in vpc.nodes for listener in node.listeners if listener.targets),
        *metering.chains(outgoing),
        *filtering.chains(vpc),
        CHAINS.format(
            resolver=vpc.resolver,
            clamped=CLAMP if any(host.kind == "link" for host in vpc.hosts) else "",
            forwarded=metering.forwarded(outgoing),
            entering=metering.entering(outgoing),
        ).strip("\n"),
    ]
    return f"table {TABLE} {{\n" + "\n".join(parts) + "\n}\n"


Inward = tuple[Wire, Crossing, Node]


def _crossings(wires: Iterable[Wire]) -> Iterator[tuple[Wire, Crossing]]:
    return ((wire, crossing) for wire in wires for crossing in wire.crossings)


def _endpoints(outward: Iterable[Crossing]) -> Iterator[str]:
    for one in outward:
        for protocol, port in one.ports:
            if protocol != "tcp" or port not in one.proxied:
                yield f"{one.endpoint} . {protocol} . {port} : {one.far} . {port}"


def _own(nodes: Iterable[Node]) -> Iterator[str]:
    for node in nodes:
        for one in _answering(node):
            if not one.proxy_protocol:
                yield f"{node.address} . {one.protocol} . {one.port} : goto {_chain_name(node, one)}"


def _announced(nodes: Iterable[Node]) -> Iterator[str]:
    for node in nodes:
        for one in _answering(node):
            if one.proxy_protocol:
                yield f"{node.address} . {one.protocol} . {one.port} : goto {_chain_name(node, one)}"


def _announcing(wanted: Iterable[Announcement]) -> Iterator[str]:
    return (f"{one.address} . tcp . {port}" for one in wanted for port in one.ports)


def _looped(inward: Iterable[Inward]) -> Iterator[str]:
    """A wire from a VPC to itself has no link: its endpoints are further addresses of the node."""
    for wire, crossing, node in inward:
        for one in _admitted(crossing, node) if wire.consumer == wire.provider else ():
            if one.targets and not one.proxy_protocol:
                yield f"{crossing.endpoint} . {one.protocol} . {one.port} : goto {_chain_name(node, one)}"


def _arrivals(inward: Iterable[Inward]) -> Iterator[str]:
    for wire, crossing, node in inward:
        for one in _admitted(crossing, node) if wire.consumer != wire.provider else ():
            if one.targets:
                place = f'"{wire_link(wire.id)}" . {crossing.far}'
                yield f"{place} . {one.protocol} . {one.port} : goto {_chain_name(node, one)}"


def _sources(nodes: Iterable[Node], outward: Iterable[Crossing], inward: Iterable[Inward]) -> Iterator[str]:
    yield from (f"{node.address} : {node.address}" for node in nodes)
    yield from (f"{crossing.endpoint} : {crossing.near}" for crossing in outward)
    yield from (f"{metering.meeting(wire, crossing)} : {node.address}" for wire, crossing, node in inward)


def _refusing(nodes: Iterable[Node], inward: Iterable[Inward]) -> Iterator[str]:
    for node in nodes:
        yield from (f"{node.address} . {one.protocol} . {one.port}" for one in node.listeners if not one.targets)
    for wire, crossing, node in inward:
        for one in _admitted(crossing, node):
            if not one.targets:
                yield f"{metering.meeting(wire, crossing)} . {one.protocol} . {one.port}"


def _answering(node: Node) -> list[Listener]:
    return [listener for listener in node.listeners if listener.targets]


def _admitted(crossing: Crossing, node: Node) -> list[Listener]:
    return [listener for listener in node.listeners if (listener.protocol, listener.port) in crossing.ports]


def _timeouts(nodes: Iterable[Node]) -> set[tuple[str, int]]:
    return {(one.protocol, one.idle_timeout) for node in nodes for one in _answering(node)}


def _idle(protocol: str, seconds: int) -> str:
    policy = f"established : {seconds}" if protocol == "tcp" else f"unreplied : {seconds}, replied : {seconds}"
    name = _idle_name(protocol, seconds)
    return f"  ct timeout {name} {{\n    protocol {protocol}; l3proto ip\n    policy = {{ {policy} }}\n  }}"


def _idle_name(protocol: str, seconds: int) -> str:
    return f"idle-{protocol}-{seconds}"


def _chain_name(node: Node, listener: Listener) -> str:
    return f"to-{node.address}-{listener.protocol}-{listener.port}"


def _chain(node: Node, listener: Listener) -> str:
    """A flow is hashed by its source as it arrives, and conntrack keeps its target for life."""
    targets = _spread(listener)
    idle = f'ct timeout set "{_idle_name(listener.protocol, listener.idle_timeout)}"'
    change = f"meta l4proto {listener.protocol} dnat ip to {targets}"
    return f"  chain {_chain_name(node, listener)} {{\n    {idle}\n    {change}\n  }}"


def _spread(listener: Listener) -> str:
    targets = listener.targets
    if len(targets) == 1:
        return f"{targets[0].address}:{targets[0].port}"
    if listener.sticky:
        key, slots = "ip saddr", [_favourite(slot, targets) for slot in range(STICKY_SLOTS)]
    else:
        key, slots = f"ip saddr . {listener.protocol} sport", list(targets)
    elements = ", ".join(f"{slot} : {target.address} . {target.port}" for slot, target in enumerate(slots))
    return f"jhash {key} mod {len(slots)} seed {SEED} map {{ {elements} }}"


def _favourite(slot: int, targets: Sequence[Target]) -> Target:
    """Rendezvous hashing: when a target comes or goes, no source moves but those that it gets or had."""
    return max(targets, key=lambda one: sha256(f"{slot} {one.address} {one.port}".encode()).digest())


def _map(kind: str, name: str, type: str, elements: Iterable[str]) -> str:
    lines = sorted(set(elements))
    held = "    elements = {\n      " + ",\n      ".join(lines) + "\n    }\n" if lines else ""
    return f"  {kind} {name} {{\n    {type}\n{held}  }}"
