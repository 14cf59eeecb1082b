"""System calls that Python's library lacks, for the program that is process 1 of an instance."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)

# sched.h, sys/mount.h
NEW_MOUNT, NEW_UTS, NEW_IPC, NEW_PID, NEW_NET = 0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000
READ_ONLY, NO_SUID, NO_DEV, NO_EXEC, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH = 2
# linux/mount.h, fcntl.h; the system call has the same number on every architecture
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, ATTR_READ_ONLY = 442, -100, 0x8000, 1
# sys/prctl.h, linux/capability.h
CAPBSET_DROP, CAP_AMBIENT, CAP_AMBIENT_CLEAR_ALL = 24, 47, 4
CAPABILITY_VERSION_3 = 0x20080522


def mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    """mount(2); a read-only bind takes two calls. Raises OSError."""
    first = flags & ~READ_ONLY if flags & BIND else flags
    arguments = (source.encode(), bytes(target), kind.encode() or None, first, options.encode() or None)
    check(libc.mount(*arguments), f"mount {source} on {target}")
    if flags & BIND and flags & READ_ONLY:
        check(libc.mount(None, bytes(target), None, flags | REMOUNT, None), f"protect {target}")


def protect(target: Path) -> None:
    """Make a mount and all below it read-only; unlike a remount this needs to know none of their other settings."""
    attributes = struct.pack("=QQQQ", ATTR_READ_ONLY, 0, 0, 0)
    arguments = (MOUNT_SETATTR, AT_FDCWD, bytes(target), AT_RECURSIVE, attributes, len(attributes))
    check(libc.syscall(*arguments), f"protect {target}")


def keep_capabilities(kept: frozenset[int]) -> None:
    """Nothing that runs in the instance can regain what is dropped here; process 1 drops it as well."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for number in set(range(last + 1)) - kept:
        check(libc.prctl(CAPBSET_DROP, number, 0, 0, 0), "drop a capability")
    check(libc.prctl(CAP_AMBIENT, CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "drop the ambient capabilities")
    mask = sum(1 << number for number in kept)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0)
    check(libc.capset(header, data), "set the capabilities")


def check(status: int, action: str) -> None:
    """Raise OSError for a call that failed, with what it was for."""
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {action}: {os.strerror(number)}")
