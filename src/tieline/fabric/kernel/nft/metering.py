"""The part of a VPC's table that counts, as text: sets whose elements have counters, and rules that look them up.

Pure. A link costs an element for each listener port, and never a rule. A set that stays keeps what it has counted when
the table is replaced, so that the kernel holds the totals and a daemon that dies loses none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tieline.fabric.core.topology import Crossing, Vpc, Wire

PORTS = "type ipv4_addr . inet_proto . inet_service\n    counter"
ADDRESSES = "type ipv4_addr\n    counter"

# In the consumer, by endpoint address: flows that hosts began, that security groups barred, that met no open port.
# In the consumer, by the wire's far address: what went over the wire and what came back, and the resets among it.
# In the provider, by the address that it meets: flows that found no target, or that security groups barred.
OPENED, BARRED, CLOSED, UNSERVED = "opened", "barred", "closed", "unserved"
SENT, RECEIVED, SENT_RESETS, RECEIVED_RESETS = "sent", "received", "sent-resets", "received-resets"
TYPES = {
    OPENED: PORTS,
    BARRED: PORTS,
    CLOSED: ADDRESSES,
    UNSERVED: PORTS,
    SENT: PORTS,
    RECEIVED: PORTS,
    SENT_RESETS: PORTS,
    RECEIVED_RESETS: PORTS,
}
OUTWARD = "ip daddr . meta l4proto . th dport"  # of a packet to the provider
HOMEWARD = "ip saddr . meta l4proto . th sport"  # of a packet from there
FORWARD = f"""\
    oifname "w-*" {OUTWARD} @{SENT}
    iifname "w-*" {HOMEWARD} @{RECEIVED}
    tcp flags & rst == rst jump resets
"""
RESETS = f"""\
  chain resets {{
    oifname "w-*" {OUTWARD} @{SENT_RESETS}
    iifname "w-*" {HOMEWARD} @{RECEIVED_RESETS}
  }}"""
REFUSE = f"""\
  chain refuse {{
    ip protocol {{ tcp, udp }} ct original ip daddr . meta l4proto . ct original proto-dst @{BARRED}
    drop
  }}"""
# What an announcer sends and gets is forwarded by nobody.
OWN = f"""\
  chain emit {{
    type filter hook output priority filter; policy accept;
    oifname "w-*" {OUTWARD} @{SENT}
  }}"""

Block = tuple[str, str, str, Sequence[str]]  # map or set, name, type, elements


def blocks(vpc: Vpc, outgoing: Sequence[Wire], incoming: Sequence[Wire]) -> Iterator[Block]:
    """Every counting set, with its elements."""
    out = [one for wire in outgoing for one in wire.crossings]
    crossing = [one for wire in outgoing if wire.consumer != wire.provider for one in wire.crossings]
    met = [(meeting(wire, one), one) for wire in incoming for one in wire.crossings]
    aimed = [_key(one.endpoint, *port) for one in out for port in one.ports]
    served = [_key(address, *port) for address, one in met for port in one.ports]
    across = [_key(one.far, *port) for one in crossing for port in one.ports]
    held: dict[str, Sequence[str]] = {OPENED: aimed, BARRED: [*aimed, *served], UNSERVED: served}
    held[CLOSED] = [*vpc.addresses, *(one.endpoint for one in out)]
    held |= dict.fromkeys((SENT, RECEIVED, SENT_RESETS, RECEIVED_RESETS), across)
    return (("set", name, type, held[name]) for name, type in TYPES.items())


def chains(outgoing: Sequence[Wire]) -> Iterator[str]:
    """The chains that count, but for those that also decide."""
    yield RESETS
    yield REFUSE
    if _announces(outgoing):
        yield OWN


def forwarded(outgoing: Sequence[Wire]) -> str:
    """What comes before every decision on what is forwarded; a VPC that consumes nothing pays for nothing."""
    return FORWARD if any(wire.consumer != wire.provider for wire in outgoing) else ""


def entering(outgoing: Sequence[Wire]) -> str:
    """What comes before every decision on what enters the VPC itself."""
    return f'    iifname "w-*" {HOMEWARD} @{RECEIVED}\n' if _announces(outgoing) else ""


def meeting(wire: Wire, crossing: Crossing) -> str:
    """The address at which the provider's VPC meets a wire's flows."""
    return crossing.endpoint if wire.consumer == wire.provider else crossing.far


def _announces(outgoing: Sequence[Wire]) -> bool:
    return any(one.proxied for wire in outgoing for one in wire.crossings)


def _key(address: str, protocol: str, port: int) -> str:
    return f"{address} . {protocol} . {port}"
