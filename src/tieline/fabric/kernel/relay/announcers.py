"""Announcers: finding, starting and ending the processes that announce clients by the PROXY protocol."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from functools import partial

import msgspec

from tieline.fabric.core.topology import Value, Vpc, Wire
from tieline.fabric.kernel.relay import announcements
from tieline.fabric.kernel.relay.announcements import Announcement
from tieline.fabric.kernel.system import commands, names, processes, runtime
from tieline.fabric.kernel.system.names import Footprint

MODULE = "tieline.fabric.kernel.relay.announcer"
FAREWELL = 2.0  # seconds for resetting connections before the process is killed
POLL = 0.01


class Owner(Value, frozen=True, kw_only=True):
    """An announcer's first argument: all that is needed to know it again."""

    prefix: str
    vpc: str
    inode: int  # of the VPC's namespace
    announcement: Announcement


async def converge(footprint: Footprint, vpc: Vpc, outgoing: Sequence[Wire]) -> bool:
    """Have exactly one announcer for each address that wants one; True if anything changed."""
    desired, mark = announcements.wanted(vpc, outgoing), footprint.announcing(vpc.id)
    if not desired and not mark.exists():
        return False  # without a look at all processes, which costs more than all else in a VPC that never had one
    inside = names.path(footprint.namespace(vpc.id))
    inode = inside.stat().st_ino
    owners = [Owner(prefix=footprint.prefix, vpc=vpc.id, inode=inode, announcement=one) for one in desired]
    present = {process: owner for process, owner in _running(footprint) if owner.vpc == vpc.id}
    stale = [process for process, owner in present.items() if owner not in owners]
    await _end(stale)
    fresh = [owner for owner in owners if owner not in present.values()]
    runtime.make(footprint, mark.parent)
    mark.touch()
    for owner in fresh:
        program = (sys.executable, "-I", "-B", "-m", MODULE)
        await commands.write(*program, msgspec.json.encode(owner).decode(), str(inside))
    if not desired:
        mark.unlink()
    return bool(stale or fresh)


async def close(footprint: Footprint, wire: Wire) -> None:
    """Reset every connection that a wire's endpoints have announced, and end their announcers."""
    if any(crossing.proxied for crossing in wire.crossings):
        await _end([process for process, owner in _running(footprint) if owner.announcement.endpoint == wire.id])


def owner(footprint: Footprint, command: list[str]) -> Owner | None:
    """Whose announcer runs this command; None where it is not one, or not one of ours."""
    if len(command) != 7 or command[4] != MODULE:
        return None
    try:
        found = msgspec.json.decode(command[5], type=Owner)
    except msgspec.MsgspecError:
        return None
    return found if found.prefix == footprint.prefix else None


def _running(footprint: Footprint) -> list[tuple[processes.Process, Owner]]:
    return processes.servants(partial(owner, footprint))


async def _end(ending: Sequence[processes.Process]) -> None:
    told = [process for process in ending if processes.tell(process, signal.SIGTERM)]
    deadline = asyncio.get_running_loop().time() + FAREWELL
    while any(process.is_alive() for process in told) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(POLL)
    await processes.end(told)
