"""Passages: finding, starting and ending the forwarders that hand a port from one loopback to another."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import msgspec

from tieline.fabric.core.topology import Passage, Value
from tieline.fabric.kernel.system import commands, names, processes
from tieline.fabric.kernel.system.names import Footprint

FORWARDER = Path(__file__).parents[1] / "relay" / "forwarder.py"
MACHINE = "/proc/self/ns/net"  # the daemon's own network namespace, which the forwarder is born in


class Owner(Value, frozen=True, kw_only=True):
    """A forwarder's first argument: all that is needed to know it again."""

    prefix: str
    inode: int  # of the instance's namespace: one that was made anew needs a new forwarder
    passage: Passage


async def converge(footprint: Footprint, passage: Passage) -> bool:
    """Have exactly one forwarder for the passage; True if one was started. Raises KernelError if the port is taken."""
    inside = names.path(footprint.namespace(passage.instance))
    owner = Owner(prefix=footprint.prefix, inode=inside.stat().st_ino, passage=passage)
    present = {process: found for process, found in _forwarders(footprint) if found.passage.id == passage.id}
    if list(present.values()) == [owner]:
        return False
    await processes.end(present)
    places = (MACHINE, str(inside)) if passage.direction == "inward" else (str(inside), MACHINE)
    ends = (f"{address}:{port}" for address, port in (passage.listen, passage.connect))
    program = (sys.executable, "-I", "-S", "-B", str(FORWARDER))
    await commands.write(*program, msgspec.json.encode(owner).decode(), *places, *ends)
    return True


async def close(footprint: Footprint, id: str) -> None:
    """End a passage and every connection in it."""
    await processes.end([process for process, owner in _forwarders(footprint) if owner.passage.id == id])


async def close_all(footprint: Footprint, instance: str | None = None) -> None:
    """End the passages of an instance, or of all."""
    chosen = [process for process, owner in _forwarders(footprint) if instance in (None, owner.passage.instance)]
    await processes.end(chosen)


def listed(footprint: Footprint) -> dict[str, Passage]:
    """The passages that stand."""
    return {owner.passage.id: owner.passage for _, owner in _forwarders(footprint)}


def _forwarders(footprint: Footprint) -> list[tuple[processes.Process, Owner]]:
    return processes.servants(partial(owner, footprint))


def owner(footprint: Footprint, command: list[str]) -> Owner | None:
    """Whose forwarder runs this command; None where it is not one, or not one of ours."""
    if len(command) != 10 or Path(command[4]).name != FORWARDER.name:
        return None
    try:
        owner = msgspec.json.decode(command[5], type=Owner)
    except msgspec.MsgspecError:
        return None
    return owner if owner.prefix == footprint.prefix else None
