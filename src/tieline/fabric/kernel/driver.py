"""The kernel driver: makes real on this machine what the planner says, one object at a time, however often asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tieline.fabric.core.topology import Check, Instance, Outcome, Passage, Target, Vpc, Wire
from tieline.fabric.kernel import cut, vpcs
from tieline.fabric.kernel.cut import Side
from tieline.fabric.kernel.instance import control_groups, instances
from tieline.fabric.kernel.net import attachments, namespaces, passages, probes, wires
from tieline.fabric.kernel.net.watch import Change, Watch
from tieline.fabric.kernel.nft import flows, meters
from tieline.fabric.kernel.nft.meters import Reading
from tieline.fabric.kernel.system import commands, names


@dataclass(frozen=True, slots=True)
class Observed:
    """What exists by id, sound or not. Wires and passages are as they were last asked for."""

    vpcs: frozenset[str]
    wires: Mapping[str, Wire]
    instances: frozenset[str]
    passages: Mapping[str, Passage]
    damaged: frozenset[str]  # the wires that are not as they were last asked for


class Kernel:
    """Everything of one fabric that is in the kernel. Any call may be repeated and mends what it finds damaged.

    Nothing is kept in memory. One VPC, instance or passage is converged by one call at a time; the caller sees to that,
    and counts a cut as a call for the VPCs at both ends. A command that fails raises KernelError; nothing is undone,
    and the next call goes on from where it ended.
    """

    def __init__(self, prefix: str, state: Path) -> None:
        """`prefix`, two words with a hyphen, is in every name; `state` is a directory for instances' roots."""
        self._footprint = names.Footprint(prefix, state.absolute())

    async def observe(self) -> Observed:
        """What exists; raises KernelUnavailable where this machine or user cannot hold a fabric."""
        commands.require()
        found = [id for id in await namespaces.listed(self._footprint) if not names.is_foreign(id)]
        machines = {id for id in found if not names.is_vpc(id)} | instances.listed(self._footprint)
        return Observed(
            vpcs=frozenset(id for id in found if names.is_vpc(id)),
            wires=wires.recorded(self._footprint),
            instances=frozenset(machines),
            passages=passages.listed(self._footprint),
            damaged=await wires.damaged(self._footprint),
        )

    def watch(self, report: Callable[[Change], None]) -> Watch:
        """Have every change of what is attended reported, whoever made it."""
        return Watch(self._footprint, report)

    async def converge_vpc(self, vpc: Vpc, outgoing: Sequence[Wire] = (), incoming: Sequence[Wire] = ()) -> bool:
        """Make the VPC, its hosts' links, its addresses, its rules for these wires, and its resolver.

        Raises Unsettled, with all else done, where single hosts cannot be linked.
        """
        return await vpcs.converge(self._footprint, vpc, outgoing, incoming)

    async def remove_vpc(self, id: str) -> None:
        """Remove a VPC and every link that ends in it."""
        await vpcs.remove(self._footprint, id)

    async def converge_wire(self, wire: Wire) -> bool:
        """Lay the wire between its VPCs, which exist; what passes it is up to the rules of both."""
        return await wires.converge(self._footprint, wire)

    async def cut_wire(self, wire: Wire, sides: Sequence[Side] = ()) -> None:
        """Remove a wire, reset every flow on it, and converge the VPCs at its ends, given as they will be then."""
        await cut.wire(self._footprint, wire, sides)

    async def reset_target(self, vpc: str, node: str, target: Target) -> int:
        """Reset the TCP flows that the balancer node at this address carries to a target; how many there were."""
        return await flows.sever(self._footprint.namespace(vpc), node, (target.address, target.port), "tcp")

    def laid(self) -> frozenset[str]:
        """The wires that were laid, and the VPCs at their ends."""
        found = wires.recorded(self._footprint).values()
        return frozenset(id for wire in found for id in (wire.id, wire.consumer, wire.provider))

    async def meters(self, vpc: str, before: Reading | None = None, *, consumes: bool = True) -> Reading:
        """What a VPC has counted; `before` is its last reading, and spares work where nothing moved since.

        `consumes`: whether links begin in it, so that flows that are open through them are told as well.
        """
        return await meters.read(self._footprint, vpc, before, consumes=consumes)

    async def converge_instance(self, instance: Instance, vpc: Vpc) -> bool:
        """Have the instance running; its network is the business of `converge_vpc`, before or after."""
        return await instances.converge(self._footprint, instance, vpc.resolver)

    async def stop_instance(self, id: str) -> None:
        """End the instance with its passages, and remove its root."""
        await passages.close_all(self._footprint, id)
        await instances.stop(self._footprint, id)

    def console_output(self, id: str) -> str:
        """The last 64 KiB of what the instance has written."""
        return instances.console(self._footprint, id)

    def instance_running(self, id: str) -> bool:
        """Whether the instance's process 1 is there."""
        return instances.is_running(self._footprint, id)

    async def converge_passage(self, passage: Passage) -> bool:
        """Have the passage open; its instance's namespace exists."""
        return await passages.converge(self._footprint, passage)

    async def close_passage(self, id: str) -> None:
        """Close a passage and every connection in it."""
        await passages.close(self._footprint, id)

    async def attach_process(self, id: str, pid: int, *, machines: bool = False) -> None:
        """Put a process's network namespace behind an interface; `converge_vpc` with its host then joins it.

        Raises MachinesNetwork for one in the machine's own network, unless `machines` says that it is meant.
        """
        await attachments.plug_process(self._footprint, id, pid, machines=machines)

    async def attach_link(self, id: str, vpc: str, parent: str, vlan: int | None = None) -> None:
        """Put what a NIC or a VLAN on it leads to behind an interface of the VPC, which exists."""
        await attachments.plug_link(self._footprint, id, vpc, parent, vlan)

    async def detach(self, id: str) -> None:
        """Leave what was attached to itself."""
        await attachments.unplug(self._footprint, id)

    async def probe(self, check: Check) -> Outcome:
        """Try a target from its balancer node's address."""
        return await probes.probe(self._footprint, check)

    async def down(self) -> None:
        """Remove everything that carries the prefix, whatever is known about it, and nothing else."""
        commands.require()
        await passages.close_all(self._footprint)
        ids = await namespaces.listed(self._footprint)
        await commands.together(*(attachments.unplug(self._footprint, id) for id in ids if names.is_foreign(id)))
        ours = (self._footprint.namespace(id) for id in ids if not names.is_foreign(id))
        await commands.together(*(namespaces.remove(namespace) for namespace in ours))
        await control_groups.remove_all(self._footprint)
        for directory in (self._footprint.runtime, self._footprint.instances):
            await commands.remove_tree(directory)
        with suppress(OSError):  # whoever else keeps something there keeps the directory
            self._footprint.state.rmdir()
