"""A control group for each instance, in whichever version the machine has: its memory, its processors, its processes.

Version 1 has one hierarchy for each of these, version 2 one for all (Linux, admin-guide/cgroup-v1 and cgroup-v2).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tieline.fabric.core.sizes import Size
from tieline.fabric.kernel.instance.boot import PROCESSES
from tieline.fabric.kernel.system.names import Footprint

CONTROLLERS = ("memory", "cpu", "pids")
PERIOD = 100_000  # microseconds in which a share of the processors is counted: the kernel's own default
SHARE = 0.8  # of the machine's memory, for an instance whose type nobody named
MIB = 1 << 20
POLL, PATIENCE = 0.01, 5.0  # seconds: a group can be removed once the last process in it is gone altogether


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Where groups are made for some controllers."""

    place: Path
    version: int
    controllers: tuple[str, ...]


def hierarchies(mountinfo: str, exists: Mapping[str, str]) -> list[Hierarchy]:
    """What a machine has, by its mounts; `exists`: the controllers that version 2 offers at each mount. Pure."""
    found: dict[Path, Hierarchy] = {}
    for line in mountinfo.splitlines():
        fields, _, rest = line.partition(" - ")
        point, (kind, _, options) = Path(fields.split()[4]), rest.split(" ", 2)
        names = options.split(",") if kind == "cgroup" else exists.get(str(point), "").split()
        own = tuple(name for name in CONTROLLERS if name in names)
        if kind in ("cgroup", "cgroup2") and own:
            found.setdefault(point, Hierarchy(point, 1 if kind == "cgroup" else 2, own))
    return list(found.values())


def here() -> list[Hierarchy]:
    """What this machine has."""
    mountinfo = Path("/proc/self/mountinfo").read_text()
    offered = {}
    for line in mountinfo.splitlines():
        point = line.split()[4]
        with suppress(OSError):
            offered[point] = Path(point, "cgroup.controllers").read_text() if " - cgroup2 " in line else ""
    return hierarchies(mountinfo, offered)


def settings(size: Size | None, machine: Size, version: int) -> dict[str, str]:
    """The files of a group and what is written to them, in this order. Pure."""
    memory = min(size.memory, machine.memory) * MIB if size else round(machine.memory * SHARE) * MIB
    processors = size.processors if size and size.processors < machine.processors else None
    if version == 1:
        return {
            "memory.limit_in_bytes": str(memory),
            "memory.memsw.limit_in_bytes": str(memory),
            "cpu.cfs_period_us": str(PERIOD),
            "cpu.cfs_quota_us": str(processors * PERIOD if processors else -1),
            "pids.max": str(PROCESSES),
        }
    quota = processors * PERIOD if processors else "max"
    return {
        "memory.max": str(memory),
        "memory.swap.max": "0",
        "cpu.max": f"{quota} {PERIOD}",
        "pids.max": str(PROCESSES),
    }


def make(footprint: Footprint, id: str, size: Size | None) -> list[Path]:
    """Have the instance's groups with its limits: the files by which a process enters them; none where none can be."""
    entrances = []
    for hierarchy in here():
        with suppress(OSError):  # a container's may be read-only, and an ordinary user's is nobody's to divide
            group = hierarchy.place / footprint.prefix / id
            group.mkdir(parents=True, exist_ok=True)
            if hierarchy.version == 2:
                _offer(hierarchy)
                _offer(Hierarchy(group.parent, 2, hierarchy.controllers))
            wanted = settings(size, machine(), hierarchy.version)
            held = [_write(group / file, value) for file, value in wanted.items() if _concerns(file, hierarchy)]
            if any(held):
                entrances.append(group / "cgroup.procs")
    return entrances


async def remove(footprint: Footprint, id: str) -> None:
    """Remove the groups of an instance that has ended."""
    for group in _groups(footprint):
        await _remove(group / id)
        with suppress(OSError):  # others of this fabric are in it
            group.rmdir()


async def remove_all(footprint: Footprint) -> None:
    """Remove every group of this fabric's."""
    for group in _groups(footprint):
        for inner in [entry for entry in group.iterdir() if entry.is_dir()]:
            await _remove(inner)
        with suppress(OSError):
            group.rmdir()


def machine() -> Size:
    """What the machine has."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Size(os.cpu_count() or 1, memory // MIB)


def _groups(footprint: Footprint) -> Iterator[Path]:
    yield from (place for hierarchy in here() if (place := hierarchy.place / footprint.prefix).is_dir())


async def _remove(group: Path) -> None:
    for _ in range(round(PATIENCE / POLL)):
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            await asyncio.sleep(POLL)
        else:
            return


def _offer(hierarchy: Hierarchy) -> None:
    for name in hierarchy.controllers:
        _write(hierarchy.place / "cgroup.subtree_control", f"+{name}")


def _concerns(file: str, hierarchy: Hierarchy) -> bool:
    return file.partition(".")[0] in hierarchy.controllers


def _write(file: Path, value: str) -> bool:
    """Whether the kernel took it: one without swap has no bound for that, and a group above may allow less."""
    with suppress(OSError):
        file.write_text(value)
        return True
    return False
