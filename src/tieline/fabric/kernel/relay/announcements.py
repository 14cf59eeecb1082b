"""Which addresses of a VPC announce their clients by the PROXY protocol, and where they lead.

Pure. Where a group wants it, an endpoint's port is not translated onto its wire: a process accepts there and connects
over the wire to the same listener. A balancer's own clients, in its VPC, are announced at the node alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from tieline.fabric.core.topology import Value, Vpc, Wire


class Announcement(Value, frozen=True, kw_only=True):
    """The ports of an address that announce their clients, and where they lead."""

    address: str
    ports: tuple[int, ...]
    source: str
    onwards: str
    endpoint: str = ""  # the id that AWS's own TLV carries


def wanted(vpc: Vpc, outgoing: Sequence[Wire]) -> list[Announcement]:
    """What a VPC announces. A wire to the VPC itself leads to the node, as the rules have no far end for it."""
    found = []
    for wire in outgoing:
        for one in wire.crossings:
            source, onwards = (one.node, one.node) if wire.provider == wire.consumer else (one.near, one.far)
            if one.proxied:
                made = Announcement(
                    address=one.endpoint, ports=one.proxied, source=source, onwards=onwards, endpoint=wire.id
                )
                found.append(made)
    for node in vpc.nodes:
        ports = tuple(one.port for one in node.listeners if one.proxy_protocol and one.targets)
        if ports:
            found.append(Announcement(address=node.address, ports=ports, source=node.address, onwards=node.address))
    return found
