"""Makes an instance's network namespace together with a user namespace that owns it, whose root is nobody's root.

A program of its own, since a process that runs threads cannot enter a user namespace. Arguments: the network
namespace's file, the first of the ids that the instance's shall be on the machine, and directories that it will see.
Ends with status 0, or with NOT_HERE and the reason where this machine cannot show files with other ids.
"""

from __future__ import annotations

import os
import signal
import sys

sys.path.insert(0, __file__.rpartition("/tieline/")[0])  # isolated as it is, it still finds the modules beside it

from tieline.fabric.kernel.system.syscalls import BIND, NEW_NET, NEW_USER, check, clone, libc, mount, regain

IDS = 65536  # of an instance: as many as systemd gives a container, with nobody among them
NOT_HERE = 3  # exit status
KEEP_CAPABILITIES = 8  # linux/prctl.h: while the user changes


def main() -> None:
    path, first, *places = sys.argv[1:]
    (asked, ask), (told, tell) = os.pipe(), os.pipe()
    if (child := os.fork()) == 0:
        os.close(ask)
        os.close(told)
        begin(int(first), asked, tell)
    os.close(asked)
    os.close(tell)
    try:
        if not os.read(told, 1):
            leave("no user namespace can be made: see user.max_user_namespaces (sysctl)")
        for kind in ("gid", "uid"):  # in this order, while groups may still be set
            with open(f"/proc/{child}/{kind}_map", "w") as file:  # noqa: PTH123 - the module costs some milliseconds
                file.write(f"0 {first} {IDS}\n")
        try_files(child, places)
        os.write(ask, b".")
        if not os.read(told, 1):
            sys.exit("no network namespace can be made in a user namespace")
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444))
        mount(f"/proc/{child}/ns/net", path, "", BIND)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def begin(first: int, asked: int, tell: int) -> None:
    """Make the user namespace, then the network namespace inside it, and wait to be killed.

    The maker is the user who is root inside: what the kernel counts by user, such as inotify instances, is his.
    """
    try:
        os.setgroups([])
        check(libc.prctl(KEEP_CAPABILITIES, 1, 0, 0, 0), "keep the capabilities")
        os.setresgid(first, first, first)
        os.setresuid(first, first, first)
        regain()
        check(libc.unshare(NEW_USER), "make a user namespace")
        os.write(tell, b".")
        if not os.read(asked, 1):
            return
        check(libc.unshare(NEW_NET), "make a network namespace")
        os.write(tell, b".")
        signal.pause()
    finally:
        os._exit(1)


def leave(reason: str) -> None:
    """End, for this machine cannot give an instance ids of its own."""
    sys.stderr.write(reason)
    sys.exit(NOT_HERE)


def try_files(child: int, places: list[str]) -> None:
    """Whether each place can be shown with the ids of the user namespace (Linux 5.12, and its filesystem)."""
    users = os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for place in places:
            os.close(clone(place, users))
    except OSError as error:
        leave(str(error))
    finally:
        os.close(users)


if __name__ == "__main__":
    main()
