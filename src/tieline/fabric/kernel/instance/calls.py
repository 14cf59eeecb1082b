"""Which system calls an instance may make: those of servers and their tools, on the machine's own ABI alone.

Refused is what changes the kernel or the machine, what makes namespaces or mounts, and what has been the way out of
many containers. libseccomp (Debian's libseccomp2) makes the filter, which the kernel asks whatever a process may else.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from errno import ENOSYS, EPERM
from functools import cache

# seccomp.h: actions, attributes and comparisons
ALLOW, REFUSE = 0x7FFF0000, 0x00050000
OF_OTHER_ABI, OPTIMIZED, BY_TREE = 2, 8, 2
EQUAL, MASKED_EQUAL, GREATER = 4, 7, 6
UNKNOWN = -1  # of a call that this architecture, or this libseccomp, does not have
NEWEST = 469  # file_setattr, Linux 6.17: what is newer is refused as if the kernel were older (arch/*/syscall*.tbl)
MOST = 1024  # no architecture's numbers reach it

KERNEL = """acct bpf create_module delete_module finit_module get_kernel_syms init_module iopl ioperm kexec_file_load
kexec_load lookup_dcookie nfsservctl perf_event_open query_module quotactl quotactl_fd reboot swapoff swapon syslog
sysfs _sysctl uselib ustat vhangup vm86 vm86old vserver fanotify_init pciconfig_iobase pciconfig_read pciconfig_write"""
CLOCKS = "adjtimex clock_adjtime clock_adjtime64 clock_settime clock_settime64 settimeofday stime"
SPACES = """fsconfig fsmount fsopen fspick listmount mount mount_setattr move_mount open_tree open_tree_attr pivot_root
setdomainname sethostname setns statmount umount umount2 unshare listns"""
KEYS = "add_key keyctl request_key"  # root's keyring is the machine's root's where an instance has no ids of its own
OTHERS = """kcmp process_madvise process_mrelease pidfd_getfd get_mempolicy mbind migrate_pages move_pages set_mempolicy
set_mempolicy_home_node lsm_set_self_attr"""
KNOWN_WAYS_OUT = "io_uring_enter io_uring_register io_uring_setup open_by_handle_at userfaultfd"
DENIED = " ".join((KERNEL, CLOCKS, SPACES, KEYS, OTHERS, KNOWN_WAYS_OUT)).split()
# sched.h; by clone(2), whose flags stand in a register. Those of clone3(2) stand in memory, where no filter can look.
NEW = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
FAMILIES = (1, 2, 10, 16, 17)  # UNIX, INET, INET6, NETLINK, PACKET (linux/socket.h): not VSOCK, ALG, and the like
# asm-generic/ioctls.h: typing into a terminal that somebody else reads, and a virtual console's menu
TYPING = (0x5412, 0x541C)


class NoFilter(Exception):
    """The filter of system calls cannot be made; the message says what is missing."""


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


@cache
def program() -> bytes:
    """The filter, as the kernel takes it; raises NoFilter."""
    library = _library()
    context = ctypes.c_void_p(library.seccomp_init(ALLOW))
    try:
        _check(library.seccomp_attr_set(context, OF_OTHER_ABI, REFUSE | ENOSYS))  # 32-bit programs, and x32
        library.seccomp_attr_set(context, OPTIMIZED, BY_TREE)  # since libseccomp 2.5, and only faster
        for number, error, comparisons in _refusals(library):
            given = (Comparison * len(comparisons))(*comparisons)
            _check(library.seccomp_rule_add_array(context, REFUSE | error, number, len(comparisons), given))
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


def _refusals(library: ctypes.CDLL) -> Iterable[tuple[int, int, list[Comparison]]]:
    def number(name: str) -> int:
        return int(library.seccomp_syscall_resolve_name(name.encode()))

    for name in DENIED:
        if number(name) >= 0:
            yield number(name), EPERM, []
    yield number("clone3") if number("clone3") >= 0 else 435, ENOSYS, []  # the C library then takes clone(2)
    for flag in NEW:
        yield number("clone"), EPERM, [Comparison(0, MASKED_EQUAL, flag, flag)]
    for name in ("socket", "socketpair"):
        for family in range(1, max(FAMILIES)):
            if family not in FAMILIES:
                yield number(name), EPERM, [Comparison(0, EQUAL, family, 0)]
        yield number(name), EPERM, [Comparison(0, GREATER, max(FAMILIES), 0)]
    for request in TYPING:
        yield number("ioctl"), EPERM, [Comparison(1, MASKED_EQUAL, 0xFFFFFFFF, request)]
    for newer in range(NEWEST + 1, MOST):
        yield newer, ENOSYS, []


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError as error:
        raise NoFilter(f"libseccomp is missing (apt install libseccomp2): {error}") from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_release.restype = None
    return library


def _exported(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    with os.fdopen(os.memfd_create("filter"), "r+b") as file:
        _check(library.seccomp_export_bpf(context, file.fileno()))
        file.seek(0)
        return file.read()


def _check(status: int) -> None:
    if status != 0:
        raise NoFilter(f"libseccomp cannot make the filter: {os.strerror(-status)}")
