"""What our processes give up at their start: the daemon all but what it works with, the platform nearly everything."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tieline.fabric.kernel.boot import KEPT as INSTANCE
from tieline.fabric.kernel.syscalls import check, keep_capabilities, libc

# linux/capability.h: NET_ADMIN and SYS_ADMIN for namespaces, links, tables and mounts; SYS_PTRACE to see whose
# namespace a process is in; SYS_RESOURCE for the forwarders' tables of files; the rest is what instances start with.
DAEMON = INSTANCE | {12, 19, 21, 24}
# DAC_OVERRIDE: where root starts it, the state directory may be a user's.
PLATFORM = frozenset({1})
NO_NEW_PRIVS = 38  # linux/prctl.h
# linux/landlock.h; the system calls have the same numbers on every architecture
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ASK_VERSION, PATH_BENEATH = 1, 1
FILE = 1 << 1 | 1 << 14  # the rights that a file can have that is no directory
WRITING = sum(1 << bit for bit in (1, *range(4, 13)))  # write a file; remove and make of every kind
TRUNCATE, SINCE_TRUNCATE = 1 << 14, 3  # and the version of Landlock that knows it
SIGNAL, SINCE_SIGNAL = 1 << 1, 6  # scope: signals reach nobody who is not as confined
RULESET, RULE = struct.Struct("=QQQ"), struct.Struct("=Qi")
WRITABLE = ("/dev/null", "/dev/shm")  # the latter for Python's semaphores


def reduce_daemon() -> None:
    """Keep the daemon's capabilities; nothing that it starts can regain others. Call it before any thread begins."""
    keep_capabilities(frozenset(DAEMON & _held()))


def confine_platform(state: Path) -> None:
    """Keep nearly no capability, gain none, and write to the state directory alone. Call it before the program begins.

    An older kernel, or one without Landlock, lacks the last of these.
    """
    keep_capabilities(frozenset(PLATFORM & _held()))
    check(libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0), "give up new privileges")
    version = libc.syscall(CREATE_RULESET, None, 0, ASK_VERSION)
    if version > 0:
        _write_only_below((str(state), *WRITABLE), version)


def _write_only_below(places: Iterable[str], version: int) -> None:
    handled = WRITING | (TRUNCATE if version >= SINCE_TRUNCATE else 0)
    attributes = RULESET.pack(handled, 0, SIGNAL if version >= SINCE_SIGNAL else 0)
    size = RULESET.size if version >= SINCE_SIGNAL else 8  # older ones refuse fields that they do not know
    ruleset = libc.syscall(CREATE_RULESET, attributes, size, 0)
    if ruleset < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot make a ruleset: {os.strerror(number)}")
    for place in places:
        with suppress(FileNotFoundError):
            directory = os.open(place, os.O_PATH | os.O_CLOEXEC)
            rights = handled if Path(place).is_dir() else handled & FILE
            check(libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, RULE.pack(rights, directory), 0), f"allow {place}")
            os.close(directory)
    check(libc.syscall(RESTRICT_SELF, ruleset, 0), "confine itself")
    os.close(ruleset)


def _held() -> frozenset[int]:
    lines = Path("/proc/self/status").read_text().splitlines()
    mask = int(next(line.split()[1] for line in lines if line.startswith("CapPrm:")), 16)
    return frozenset(bit for bit in range(64) if mask >> bit & 1)
