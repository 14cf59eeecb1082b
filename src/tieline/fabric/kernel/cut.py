"""Withdrawn consent in the kernel: no new flow, no old flow, no wire, and both ends told at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tieline.fabric.core.topology import Vpc, Wire
from tieline.fabric.kernel import vpcs
from tieline.fabric.kernel.net import namespaces, wires
from tieline.fabric.kernel.nft import flows, tables
from tieline.fabric.kernel.nft.flows import Flow, Segment, to_client, to_server
from tieline.fabric.kernel.relay import announcers
from tieline.fabric.kernel.system import commands
from tieline.fabric.kernel.system.names import Footprint

Nudges = Callable[[Flow], list[Segment]]


@dataclass(frozen=True, slots=True)
class Side:
    """A VPC as it will be after the cut, with the wires that stay."""

    vpc: Vpc
    outgoing: Sequence[Wire] = ()
    incoming: Sequence[Wire] = ()


async def wire(footprint: Footprint, gone: Wire, sides: Sequence[Side]) -> None:
    """Cut a wire. `sides` are the VPCs at its ends that still exist; the rest goes with its namespace.

    First the rules, so that nothing new begins; then what lives is forgotten and reset, while the addresses that it was
    aimed at still answer; then the link, and last whatever began in between.
    """
    await commands.together(
        *(tables.converge(footprint, side.vpc, side.outgoing, side.incoming) for side in sides),
        *(_answer(footprint, side.vpc, gone) for side in sides),
    )
    await announcers.close(footprint, gone)
    await _sever(footprint, gone)
    await wires.remove(footprint, gone)
    await _sever(footprint, gone)
    await commands.together(*(vpcs.converge(footprint, side.vpc, side.outgoing, side.incoming) for side in sides))


async def _answer(footprint: Footprint, vpc: Vpc, gone: Wire) -> None:
    """Have the endpoints' addresses, which may be gone already, until their flows are."""
    if vpc.id != gone.consumer:
        return
    namespace, taken = footprint.namespace(vpc.id), {host.address for host in vpc.hosts}
    present = (await namespaces.link(namespace, "lo")).links["lo"].addresses
    wanted = {f"{crossing.endpoint}/32" for crossing in gone.crossings if crossing.endpoint not in taken}
    await commands.batch(namespace, [f"address add {address} dev lo" for address in sorted(wanted - present)])


async def _sever(footprint: Footprint, gone: Wire) -> None:
    """Both VPCs together. A consumer knows a wire's flows by the endpoints, a provider by the wire's own addresses.

    Each nudges only its own hosts: a nudge across the wire may reach a flow that the other side forgets a moment later,
    and its answer, of which there is one in 500 ms, would be lost.
    """
    consumer, provider = footprint.namespace(gone.consumer), footprint.namespace(gone.provider)
    met = [("--orig-dst", crossing.endpoint) for crossing in gone.crossings]
    carried = [("--orig-dst", crossing.far) for crossing in gone.crossings]
    ends: list[tuple[str, list[tuple[str, str]], list[Nudges]]]
    if consumer == provider:
        ends = [(consumer, met, [to_client, to_server])]
    else:
        ends = [(consumer, met, [to_client]), (provider, carried, [to_server])]
    await commands.together(*(_reset(*end) for end in ends if namespaces.exists(end[0])))


async def _reset(namespace: str, selections: Sequence[tuple[str, ...]], peers: Sequence[Nudges]) -> None:
    found = [flow for selection in selections for flow in await flows.forget(namespace, *selection)]
    await flows.reset(namespace, [segment for flow in found for nudges in peers for segment in nudges(flow)])
