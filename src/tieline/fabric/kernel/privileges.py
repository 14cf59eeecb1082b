"""What our processes give up at their start: the daemon all but what it works with, the platform nearly everything."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tieline.fabric.kernel.instance.boot import KEPT as INSTANCE
from tieline.fabric.kernel.system.landlock import WRITABLE, program_files, restrict
from tieline.fabric.kernel.system.syscalls import check, keep_capabilities, libc

# linux/capability.h: NET_ADMIN and SYS_ADMIN for namespaces, links, tables and mounts; SYS_PTRACE to see whose
# namespace a process is in; SYS_RESOURCE for the forwarders' tables of files; the rest is what instances start with.
DAEMON = INSTANCE | {12, 19, 21, 24}
# DAC_OVERRIDE: where root starts it, the state directory may be a user's.
PLATFORM = frozenset({1})
NO_NEW_PRIVS = 38  # linux/prctl.h
# The group that the platform runs in, which nobody else has: by it the control socket knows whom it does not answer.
# Not 65534, which the kernel shows for every group that a user namespace lacks.
PLATFORM_GROUP = 65533


def reduce_daemon() -> None:
    """Keep the daemon's capabilities; nothing that it starts can regain others. Call it before any thread begins."""
    keep_capabilities(frozenset(DAEMON & _held()))


def confine_platform(state: Path, readable: Sequence[Path] = ()) -> None:
    """Keep nearly no capability, gain none, write to the state directory alone, and read what a program needs.

    `readable` are directories and files besides. Call it before the program begins. An older kernel, or one without
    Landlock, lacks the bounds on files.
    """
    os.setgroups([])
    os.setresgid(PLATFORM_GROUP, PLATFORM_GROUP, PLATFORM_GROUP)
    keep_capabilities(frozenset(PLATFORM & _held()))
    check(libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0), "give up new privileges")
    restrict((state, *WRITABLE), (*program_files(), *readable))


def _held() -> frozenset[int]:
    lines = Path("/proc/self/status").read_text().splitlines()
    mask = int(next(line.split()[1] for line in lines if line.startswith("CapPrm:")), 16)
    return frozenset(bit for bit in range(64) if mask >> bit & 1)
