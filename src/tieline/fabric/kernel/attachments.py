"""Attachments: putting what this machine has already, a process's network or a NIC's, behind a VPC's interface.

Only a name or a child link is made, and only that is removed again: no process, address or link of others is touched.
"""

from __future__ import annotations

import asyncio

from tieline.fabric.kernel import commands, names, namespaces
from tieline.fabric.kernel.names import Footprint

PATIENCE = 20.0  # seconds for the fabric's daemon to take over what was plugged in
POLL = 0.1


async def plug_process(footprint: Footprint, id: str, pid: int) -> None:
    """Name the network namespace of a process after the interface; a converge of the VPC then lays the link into it."""
    await commands.write("ip", "netns", "attach", footprint.namespace(id), str(pid))


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
        inner = names.inner_link(id)
        if inner in (await namespaces.space(namespace)).links:
            await namespaces.remove_link(namespace, inner)
    if names.path(namespace).exists():
        await commands.write("ip", "netns", "delete", namespace)
