"""Attachments: putting what this machine has already, a process's network or a NIC's, behind a VPC's interface.

Only a name or a child link is made, and only that is removed again: no process, address or link of others is touched.
"""

from __future__ import annotations

import asyncio
from hashlib import sha256

from tieline.fabric.core.topology import Host
from tieline.fabric.kernel.net import namespaces, plan
from tieline.fabric.kernel.system import commands, names
from tieline.fabric.kernel.system.names import Footprint

PATIENCE = 20.0  # seconds for the fabric's daemon to take over what was plugged in
POLL = 0.1


class MachinesNetwork(Exception):
    """What was to be attached is the machine's own network, and nobody said that this is meant."""


async def plug_process(footprint: Footprint, id: str, pid: int, *, machines: bool = False) -> None:
    """Name the network namespace of a process after the interface; a converge of the VPC then lays the link into it.

    Raises MachinesNetwork where that is the machine's own, unless `machines` says that it is meant.
    """
    await commands.write("ip", "netns", "attach", footprint.namespace(id), str(pid))
    if not machines and namespaces.is_machines(footprint.namespace(id)):  # by what has the name now, not by a number
        await commands.write("ip", "netns", "delete", footprint.namespace(id))
        raise MachinesNetwork(
            f"process {pid} is in this machine's own network: what may open the interface's address would reach "
            "whatever listens on the machine"
        )


async def settle_machine(footprint: Footprint, host: Host) -> bool:
    """Give the machine's own network the interface's address, and a way back for what came to it: nothing else.

    The address stands alone (/32), and only what is sent from it takes the way into the VPC: no destination of the
    machine's is captured, were it a network of the same addresses. True if anything changed.
    """
    namespace, name, table = footprint.namespace(host.id), names.inner_link(host.id), _table(host.id)
    link = plan.Link(True, frozenset({f"{host.address}/32"}))
    changed = await commands.batch(namespace, plan.steps(plan.Space({name: link}), await namespaces.space(namespace)))
    shown = await commands.read("ip", "-n", namespace, "rule", "show", "table", table, accept=(0, 2))
    if host.address not in shown.split():
        way = [f"route replace default via {host.router} dev {name} onlink table {table}"]
        changed |= await commands.batch(namespace, [*way, f"rule add from {host.address} table {table}"])
    elif changed:
        await commands.batch(namespace, [f"route replace default via {host.router} dev {name} onlink table {table}"])
    return changed


async def plug_link(footprint: Footprint, id: str, vpc: str, parent: str, vlan: int | None = None) -> None:
    """Give the VPC a child of a NIC, or of one VLAN on it; the host is found there by its address (ARP).

    Returns when a converge of the VPC has raised it. One that was under way with an older plan takes it for a leftover
    and removes it: then it is made again.
    """
    kind = ("vlan", "id", str(vlan)) if vlan is not None else ("macvlan", "mode", "private")
    namespace, name = footprint.namespace(vpc), names.host_link(id)
    command = ("ip", "link", "add", "link", parent, "name", name, "netns", namespace, "type", *kind)
    for _ in range(round(PATIENCE / POLL)):
        present = (await namespaces.space(namespace)).links.get(name)
        if present is None:
            await commands.write(*command)
        elif present.up:
            return
        await asyncio.sleep(POLL)
    raise commands.KernelError(" ".join(command), 0, f"nobody has raised the link within {PATIENCE:.0f} s")


async def unplug(footprint: Footprint, id: str) -> None:
    """Undo either; the namespace itself and all that runs in it stay."""
    namespace = footprint.namespace(id)
    if namespaces.exists(namespace):
        if namespaces.is_machines(namespace):
            await _forget_rules(namespace, _table(id))
        inner = names.inner_link(id)
        if inner in (await namespaces.space(namespace)).links:
            await namespaces.remove_link(namespace, inner)
    if names.path(namespace).exists():
        await commands.write("ip", "netns", "delete", namespace)


async def _forget_rules(namespace: str, table: str) -> None:
    shown = await commands.read("ip", "-n", namespace, "rule", "show", "table", table, accept=(0, 2))
    await commands.batch(namespace, [f"rule del table {table}"] * len(shown.splitlines()))


def _table(id: str) -> str:
    """The number of the routing table for what the machine sends from an interface's address."""
    return str(0x74000000 | int(sha256(id.encode()).hexdigest()[:6], 16))
