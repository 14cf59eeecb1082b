"""What runs as process 1 of an instance: its own root and devices, then the boot script, then reaping.

Started as a program by its path, with nothing but the standard library, since it stays for the instance's whole life.
"""

from __future__ import annotations

import binascii
import fcntl
import json
import os
import re
import resource
import signal
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).parents[4]))  # isolated as it is, it still finds the modules beside it

from tieline.fabric.kernel.instance.roots import SCRIPT, furnish
from tieline.fabric.kernel.system.syscalls import (
    NEW_CGROUP,
    NEW_IPC,
    NEW_MOUNT,
    NEW_NET,
    NEW_PID,
    NEW_USER,
    NEW_UTS,
    check,
    filter_calls,
    keep_capabilities,
    libc,
)

# CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT,
# AUDIT_WRITE: what servers need to start, write their files and become their own users. Not DAC_READ_SEARCH, which
# opens any file of a filesystem by its handle, and so leads out of every root (open_by_handle_at(2)).
KEPT = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29})
PROCESSES = 4096  # and threads that an instance has at most; systemd gives a service 4,915 of 32,768 (DefaultTasksMax)
COUNTED_SINCE = (6, 14)  # the Linux whose pid namespaces have a kernel.pid_max of their own
FIRST_TO_GO = 500  # oom_score_adj (proc(5)): as if it held half of the machine's memory more
OWNER_OF, USER_OF = 0xB701, 0xB704  # NS_GET_USERNS, NS_GET_OWNER_UID (linux/nsfs.h)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}


def main() -> NoReturn:
    """Argument: the instance's specification. Ends with status 0 once the instance has started, else says why not."""
    specification = json.loads(Path(sys.argv[1]).read_text())
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    console = os.open(specification["console"], flags, 0o600)
    os.umask(0o022)  # of a server, as its programs expect it
    os.setgroups([])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for group in specification["groups"]:
        Path(group).write_text("0")  # this process and all that it starts
    with Path(specification["namespace"]).open() as namespace:
        users, owner = owning(namespace.fileno())
        check(libc.setns(namespace.fileno(), NEW_NET), "enter the network namespace")
    check(libc.unshare(NEW_MOUNT | NEW_UTS | NEW_IPC | NEW_PID | NEW_CGROUP), "make namespaces")
    read, report = os.pipe()
    if os.fork() == 0:
        os.close(read)
        begin(specification, console, report, users, owner)
    os.close(report)
    with os.fdopen(read) as answer:
        complaint = answer.read()
    sys.exit(complaint or 0)


def begin(specification: dict[str, Any], console: int, report: int, users: int | None, owner: int) -> NoReturn:
    """Process 1. Whatever goes wrong before the boot script is reported to whoever asked for the instance."""
    try:
        os.setsid()
        socket.sethostname(specification["hostname"])
        limit()
        furnish(specification, users, owner)
        redirect(console)
        confine(binascii.a2b_base64(specification["filter"]), users)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # for process 1 that is: ignored, where the sender is inside
        script = launch() if specification["user_data"] else 0
    except BaseException as error:
        os.write(report, f"{type(error).__name__}: {error}\n".encode())
        os._exit(1)
    os.close(report)
    reap(script)


def owning(namespace: int) -> tuple[int | None, int]:
    """The user namespace that owns a network namespace, held open, and who is its root; None and 0 where it is ours."""
    users = fcntl.ioctl(namespace, OWNER_OF)
    if os.fstat(users).st_ino == Path("/proc/self/ns/user").stat().st_ino:
        os.close(users)
        return None, 0
    return users, struct.unpack("=I", fcntl.ioctl(users, USER_OF, bytes(4)))[0]


def confine(program: bytes, users: int | None) -> None:
    """Give up, for good, what an instance has no use for: its ids on the machine, system calls, capabilities."""
    if users is not None:
        check(libc.setns(users, NEW_USER), "enter the user namespace")
        os.close(users)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    filter_calls(program)
    keep_capabilities(KEPT)


def limit() -> None:
    """Bound what an instance takes of the machine: its processes, and who goes first when the machine's memory ends.

    Inside, /proc/sys cannot be written to, and to lower what was set by who holds SYS_RESOURCE takes that as well.
    """
    Path("/proc/self/oom_score_adj").write_text(str(FIRST_TO_GO))
    if counts_processes(os.uname().release):  # else it is the whole machine's
        with suppress(OSError):  # a container's may be read-only
            Path("/proc/sys/kernel/pid_max").write_text(str(PROCESSES))


def counts_processes(release: str) -> bool:
    """Whether a release of Linux bounds the processes of each pid namespace by itself."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and (int(found[1]), int(found[2])) >= COUNTED_SINCE


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


if __name__ == "__main__":
    main()
