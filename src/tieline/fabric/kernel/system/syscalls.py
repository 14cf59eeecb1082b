"""System calls that Python's library lacks, for the program that is process 1 of an instance."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

TYPE_CHECKING = False  # as typing has it, which costs each start of a process more milliseconds than all else here
if TYPE_CHECKING:
    from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)

# sched.h, sys/mount.h
NEW_MOUNT, NEW_UTS, NEW_IPC, NEW_PID, NEW_NET = 0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000
NEW_CGROUP, NEW_USER = 0x02000000, 0x10000000
READ_ONLY, NO_SUID, NO_DEV, NO_EXEC, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH = 2
# linux/mount.h, fcntl.h; these system calls have the same numbers on every architecture
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000
ATTR_READ_ONLY, ATTR_IDMAP = 1, 0x00100000
TREE_CLONE, MOVE_EMPTY_PATH, MOVE_TO_LINK, CLOSE_ON_EXEC = 1, 4, 0x10, os.O_CLOEXEC
# sys/prctl.h, linux/seccomp.h, linux/capability.h
CAPBSET_DROP, CAP_AMBIENT, CAP_AMBIENT_CLEAR_ALL = 24, 47, 4
SET_SECCOMP, FILTER_MODE = 22, 2
INSTRUCTION = 8  # bytes of one of a filter's (struct sock_filter)
CAPABILITY_VERSION_3 = 0x20080522
OVERRIDES = 1 << 1 | 1 << 2  # DAC_OVERRIDE and DAC_READ_SEARCH


def mount(source: str, target: str | Path, kind: str, flags: int, options: str = "") -> None:
    """mount(2); a read-only bind takes two calls. Raises OSError."""
    first = flags & ~READ_ONLY if flags & BIND else flags
    place = os.fsencode(target)
    arguments = (source.encode(), place, kind.encode() or None, first, options.encode() or None)
    check(libc.mount(*arguments), f"mount {source} on {target}")
    if flags & BIND and flags & READ_ONLY:
        check(libc.mount(None, place, None, flags | REMOUNT, None), f"protect {target}")


def protect(target: str | Path) -> None:
    """Make a mount and all below it read-only; unlike a remount this needs to know none of their other settings."""
    attributes = struct.pack("=QQQQ", ATTR_READ_ONLY, 0, 0, 0)
    arguments = (MOUNT_SETATTR, AT_FDCWD, os.fsencode(target), AT_RECURSIVE, attributes, len(attributes))
    check(libc.syscall(*arguments), f"protect {target}")


def clone(source: str, users: int) -> int:
    """A mount of a directory that is nowhere yet, and in which ids are those of a user namespace that is held open.

    Raises OSError where the directory's filesystem cannot do that (mount_setattr(2), "ID-mapped mounts").
    """
    handle = opened(
        libc.syscall(OPEN_TREE, AT_FDCWD, os.fsencode(source), TREE_CLONE | CLOSE_ON_EXEC), f"take {source}"
    )
    attributes = struct.pack("=QQQQ", ATTR_IDMAP, 0, 0, users)
    try:
        arguments = (MOUNT_SETATTR, handle, b"", AT_EMPTY_PATH, attributes, len(attributes))
        check(libc.syscall(*arguments), f"give the files of {source} other ids")
    except OSError:
        os.close(handle)
        raise
    return handle


def move(handle: int, target: str) -> None:
    """Put a mount that is nowhere yet in its place, and close its handle."""
    try:
        arguments = (MOVE_MOUNT, handle, b"", AT_FDCWD, os.fsencode(target), MOVE_EMPTY_PATH | MOVE_TO_LINK)
        check(libc.syscall(*arguments), f"put a mount on {target}")
    finally:
        os.close(handle)


def work_as(user: int) -> None:
    """Make and use files as this user; for anybody but root that takes away the power over those of others.

    By way of root: the kernel takes it from who is root and becomes another, not from who is another already.
    """
    libc.setfsgid(user)
    libc.setfsuid(0)
    libc.setfsuid(user)


class as_user:
    """Use files as a user, with root's power over those of others or without; as `before`, with it, afterwards.

    Named and used as contextlib's own are, without the time that module takes of every start.
    """

    def __init__(self, user: int, before: int, *, powerful: bool = False) -> None:
        self._user, self._before, self._powerful = user, before, powerful

    def __enter__(self) -> None:
        work_as(self._user)
        if self._powerful:
            regain()
        elif _capabilities()[0] & OVERRIDES:
            raise PermissionError(errno.EPERM, "files would be used with root's power, and not as a user has it")

    def __exit__(self, *_: object) -> None:
        work_as(self._before)
        regain()


def regain() -> None:
    """Have every capability that may be had: a change of the user that files are used as takes some away."""
    data = _capabilities()
    data[0], data[3] = data[1], data[4]  # effective as permitted
    check(libc.capset((ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), data), "set the capabilities")


def _capabilities() -> ctypes.Array[ctypes.c_uint32]:
    data = (ctypes.c_uint32 * 6)()
    check(libc.capget((ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0), data), "read the capabilities")
    return data


def filter_calls(program: bytes) -> None:
    """Have the kernel ask this filter about every system call, of ours and of all that we start (seccomp(2))."""
    code = ctypes.create_string_buffer(program, len(program))
    filter = struct.pack("@HP", len(program) // INSTRUCTION, ctypes.addressof(code))
    check(libc.prctl(SET_SECCOMP, FILTER_MODE, filter, 0, 0), "filter system calls")


def keep_capabilities(kept: frozenset[int]) -> None:
    """Nothing that runs in the instance can regain what is dropped here; process 1 drops it as well."""
    with open("/proc/sys/kernel/cap_last_cap") as file:  # noqa: PTH123 - every start would pay for that module
        last = int(file.read())
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


def opened(handle: int, action: str) -> int:
    """A handle that a system call gave; raises OSError for one that it did not."""
    if handle < 0:
        check(-1, action)
    return handle
