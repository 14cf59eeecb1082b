"""Ending, once, the flows to targets that failed or have drained; the rules no longer send them new ones."""

from __future__ import annotations

import msgspec

from tieline.fabric.core.topology import Severance, Vpc
from tieline.fabric.kernel.nft import flows
from tieline.fabric.kernel.system import commands, runtime
from tieline.fabric.kernel.system.names import Footprint

Done = dict[str, tuple[Severance, ...]]  # by a node's address


async def converge(footprint: Footprint, vpc: Vpc) -> bool:
    """End what the VPC's nodes are to end and have not ended yet; True if there was anything.

    What was done is remembered beside the kernel's objects: a balancer that fails open sends new flows to the very
    targets whose old ones it has ended, and those go on.
    """
    record = footprint.severed(vpc.id)
    before = msgspec.json.decode(record.read_bytes(), type=Done) if record.exists() else {}
    wanted: Done = {node.address: node.severed for node in vpc.nodes if node.severed}
    if wanted == before:
        return False
    namespace = footprint.namespace(vpc.id)
    fresh = {node: set(those) - set(before.get(node, ())) for node, those in wanted.items()}
    await commands.together(*(_end(namespace, node, those) for node, those in fresh.items() if those))
    runtime.make(footprint, record.parent)
    record.write_bytes(msgspec.json.encode(wanted))
    return True


async def _end(namespace: str, node: str, fresh: set[Severance]) -> None:
    targets = {(one.target.address, one.target.port) for one in fresh}
    present = [one for one in await flows.carried(namespace, node) if one[1:] in targets]
    await commands.together(*(flows.sever(namespace, node, (a, port), protocol) for protocol, a, port in present))
