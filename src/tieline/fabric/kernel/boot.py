"""What runs as process 1 of an instance: its own root and devices, then the boot script, then reaping.

Started as a program by its path, with nothing but the standard library, since it stays for the instance's whole life.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

libc = ctypes.CDLL(None, use_errno=True)

# sched.h, sys/mount.h, sys/prctl.h, linux/capability.h
NEW_MOUNT, NEW_UTS, NEW_IPC, NEW_PID, NEW_NET = 0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000
READ_ONLY, NO_SUID, NO_DEV, NO_EXEC, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH = 2
CAPBSET_DROP, CAP_AMBIENT, CAP_AMBIENT_CLEAR_ALL = 24, 47, 4
CAPABILITY_VERSION_3 = 0x20080522
# CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW,
# SYS_CHROOT, AUDIT_WRITE: what servers need to start, write their files and become their own users.
KEPT = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29})

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}
SCRIPT = "var/lib/cloud/instance/scripts/part-001"  # where cloud-init keeps user data that is a script
WRITTEN = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")  # a container's are mounts
PRIVATE_DIRECTORIES = ("run", "tmp", "dev/shm")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# As container runtimes have it: with user id 0, writing here would reach the whole machine.
PROC_READ_ONLY = ("bus", "fs", "irq", "sys", "sysrq-trigger")
PROC_HIDDEN = ("kcore", "keys", "timer_list", "sched_debug")
SECRETS = (".aws", ".ssh", ".gnupg")  # in the home directories of the machine's own users
# Kernel views, and memory: what is in them is the machine's and not installed software.
PSEUDO = {"proc", "sysfs", "devtmpfs", "devpts", "tmpfs", "ramfs", "cgroup", "cgroup2", "mqueue", "nsfs", "securityfs"}
PSEUDO |= {"debugfs", "tracefs", "bpf", "pstore", "hugetlbfs", "efivarfs", "configfs", "binfmt_misc", "autofs"}
ANEW = ("/proc", "/sys", "/dev", "/run", "/tmp")


def main() -> NoReturn:
    """Argument: the instance's specification. Ends with status 0 once the instance has started, else says why not."""
    specification = json.loads(Path(sys.argv[1]).read_text())
    console = os.open(specification["console"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with Path(specification["namespace"]).open() as namespace:
        check(libc.setns(namespace.fileno(), NEW_NET), "enter the network namespace")
    check(libc.unshare(NEW_MOUNT | NEW_UTS | NEW_IPC | NEW_PID), "make namespaces")
    read, report = os.pipe()
    if os.fork() == 0:
        os.close(read)
        begin(specification, console, report)
    os.close(report)
    with os.fdopen(read) as answer:
        complaint = answer.read()
    sys.exit(complaint or 0)


def begin(specification: dict[str, Any], console: int, report: int) -> NoReturn:
    """Process 1. Whatever goes wrong before the boot script is reported to whoever asked for the instance."""
    try:
        os.setsid()
        socket.sethostname(specification["hostname"])
        furnish(specification)
        redirect(console)
        drop_capabilities()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # for process 1 that is: ignored, where the sender is inside
        script = launch() if specification["user_data"] else 0
    except BaseException as error:
        os.write(report, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)
    os.close(report)
    reap(script)


def furnish(specification: dict[str, Any]) -> None:
    """A root of the instance's own over a view of the machine's, with all that is secret or shared hidden."""
    place = Path(specification["place"])
    root = place / "root"
    check(libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None), "detach the mounts")
    submounts = real_mounts(place)
    overlay(place, root)
    for point in submounts:
        target = root / point.lstrip("/")
        if target.is_dir() == Path(point).is_dir():
            mount(point, target, "", BIND | READ_ONLY)
    kernel_views(root)
    for name in PRIVATE_DIRECTORIES:
        directory = root / name
        directory.mkdir(parents=True, exist_ok=True)
        mount("tmpfs", directory, "tmpfs", NO_SUID | NO_DEV, "mode=0755" if name == "run" else "mode=1777")
    keep(root, specification["kept"])
    hide(root, specification["hidden"])
    write_files(root, specification)
    become(root)


def become(root: Path) -> None:
    """Make this the mount namespace's own root, so that no chroot inside leads out (pivot_root(2), "." twice)."""
    os.chdir(root)
    check(libc.pivot_root(b".", b"."), "change the root")
    check(libc.umount2(b".", DETACH), "leave the machine's root")
    os.chdir("/")


def overlay(place: Path, root: Path) -> None:
    """A writable layer over the machine's files; memory holds it where the state directory's filesystem cannot."""
    layers = place / "layers"
    for directory in (root, layers):
        directory.mkdir(parents=True, exist_ok=True)
    if Path("/proc/self/uid_map").read_text().split()[:2] != ["0", "0"]:
        return piecewise(root, layers)
    try:
        return layer(Path("/"), root, layers)
    except OSError:
        mount("tmpfs", layers, "tmpfs", 0, "mode=0755")
        return layer(Path("/"), root, layers)


def layer(lower: Path, target: Path, layers: Path, options: str = "") -> None:
    upper, work = layers / "upper", layers / "work"
    for directory in (upper, work):
        directory.mkdir(parents=True, exist_ok=True)
    mount("overlay", target, "overlay", 0, f"lowerdir={lower},upperdir={upper},workdir={work}{options}")


def piecewise(root: Path, layers: Path) -> None:
    """In a user namespace nobody may take `/` without what is mounted below it, but its directories one by one."""
    mount("tmpfs", root, "tmpfs", 0, "mode=0755")
    for entry in sorted(Path("/").iterdir()):
        target = root / entry.name
        if entry.is_symlink():
            target.symlink_to(entry.readlink())
        elif entry.is_dir():
            target.mkdir()
            if str(entry) not in ANEW and os.access(entry, os.R_OK):
                try:
                    layer(entry, target, layers / entry.name, ",userxattr")
                except OSError:  # something is mounted below it; what is there is writable to this user anyway
                    mount(str(entry), target, "", BIND | RECURSIVE)


def real_mounts(place: Path) -> list[str]:
    """Mount points of filesystems with files in them, outside of what every instance has anew."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        point, kind = fields.split()[4].encode().decode("unicode_escape"), rest.split()[0]
        anew = point in ("/", *WRITTEN) or point.startswith((*ANEW, str(place)))
        if kind not in PSEUDO and not anew:
            found.append(point)
    return found


def kernel_views(root: Path) -> None:
    """New /proc, /sys and /dev: the machine's disks and settings are not among them."""
    mount("proc", root / "proc", "proc", NO_SUID | NO_DEV | NO_EXEC)
    for name in PROC_READ_ONLY:
        if (point := root / "proc" / name).exists():
            mount(str(point), point, "", BIND | READ_ONLY)
    for name in PROC_HIDDEN:
        if (point := root / "proc" / name).exists():
            mount("/dev/null", point, "", BIND | READ_ONLY)
    mount("sysfs", root / "sys", "sysfs", NO_SUID | NO_DEV | NO_EXEC | READ_ONLY)
    devices = root / "dev"
    mount("tmpfs", devices, "tmpfs", NO_SUID | NO_EXEC, "mode=0755")
    for name in DEVICES:
        (devices / name).touch()
        mount(f"/dev/{name}", devices / name, "", BIND)
    (devices / "pts").mkdir()
    mount("devpts", devices / "pts", "devpts", NO_SUID | NO_EXEC, "newinstance,ptmxmode=0666,mode=0620")
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0")):
        (devices / name).symlink_to(target)
    for name, number in (("stdout", 1), ("stderr", 2)):
        (devices / name).symlink_to(f"/proc/self/fd/{number}")


def keep(root: Path, kept: list[str]) -> None:
    """Show directories that lie below what every instance has anew, such as an installation in /tmp."""
    for path in kept:
        if path.startswith(tuple(f"{place}/" for place in ANEW)):
            point = root / path.lstrip("/")
            point.mkdir(parents=True, exist_ok=True)
            mount(path, point, "", BIND | READ_ONLY)


def hide(root: Path, hidden: list[str]) -> None:
    """Cover directories with empty ones that cannot be written to."""
    homes = [Path("/root"), *(Path("/home").iterdir() if Path("/home").is_dir() else ())]
    for path in [*hidden, *(str(home / name) for home in homes for name in SECRETS)]:
        point = root / path.lstrip("/")
        if os.path.isdir(point) and not point.is_symlink():  # noqa: PTH112 - false where it cannot be looked at
            mount("tmpfs", point, "tmpfs", NO_SUID | NO_DEV | READ_ONLY, "mode=0555")


def write_files(root: Path, specification: dict[str, Any]) -> None:
    """The instance's identity, and its boot script. A link to the machine's own file is replaced, not followed."""
    name, address = specification["hostname"], specification["address"]
    files = {
        "etc/hostname": (f"{name}\n", 0o644),
        "etc/hosts": (f"127.0.0.1 localhost\n{address} {name}\n", 0o644),
        "etc/resolv.conf": (f"nameserver {specification['resolver']}\noptions timeout:2\n", 0o644),
        SCRIPT: (specification["user_data"], 0o700),
    }
    for path, (text, mode) in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)


def drop_capabilities() -> None:
    """Nothing that runs in the instance can regain what is dropped here; process 1 drops it as well."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for number in set(range(last + 1)) - KEPT:
        check(libc.prctl(CAPBSET_DROP, number, 0, 0, 0), "drop a capability")
    check(libc.prctl(CAP_AMBIENT, CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "drop the ambient capabilities")
    mask = sum(1 << number for number in KEPT)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(mask, mask, 0, 0, 0, 0)
    check(libc.capset(header, data), "set the capabilities")


def redirect(console: int) -> None:
    """Standard streams to the console; nothing else of the caller's stays open but the report."""
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (console, 1), (console, 2)):
        os.dup2(source, target)


def launch() -> int:
    """Start the boot script in its own session, and return its process id."""
    child = os.fork()
    if child == 0:
        with suppress(OSError):
            os.setsid()
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and a script would inherit that
            os.execve(f"/{SCRIPT}", [f"/{SCRIPT}"], ENVIRONMENT)
        os.write(2, b"tieline: the user data cannot be run: does its first line name an interpreter?\n")
        os._exit(127)
    return child


def reap(script: int) -> NoReturn:
    """Bury the dead for as long as the instance lives; say how the boot script ended."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        try:
            process, status = os.wait()
        except ChildProcessError:
            signal.sigwait({signal.SIGCHLD})
            continue
        if process == script:
            code = os.waitstatus_to_exitcode(status)
            os.write(1, f"tieline: the boot script ended with status {code}\n".encode())


def mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    """mount(2); a read-only bind takes two calls. Raises OSError."""
    first = flags & ~READ_ONLY if flags & BIND else flags
    arguments = (source.encode(), bytes(target), kind.encode() or None, first, options.encode() or None)
    check(libc.mount(*arguments), f"mount {source} on {target}")
    if flags & BIND and flags & READ_ONLY:
        check(libc.mount(None, bytes(target), None, flags | REMOUNT, None), f"protect {target}")


def check(status: int, action: str) -> None:
    """Raise OSError for a call that failed, with what it was for."""
    if status != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot {action}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
