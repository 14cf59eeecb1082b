"""The machine's software as everybody on the machine may read it, whoever looks: what is closed there stays closed.

A layer of its own (overlayfs) lies between an instance and the machine's files. The kernel looks through it with the
rights of whoever mounted it, at every single use, and that is here nobody: what has a closed mode, an access list or
a closed directory above it cannot be read, today or after its mode changes, by root inside either. Imported by
process 1: nothing but the standard library.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tieline.fabric.kernel.system.syscalls import BIND, DETACH, as_user, check, clone, libc, mount, move

NOBODY = 65534  # the user of whom nothing is; his group has the same number (kernel.overflowuid)
STRANGER = 0x6FFFFFFE  # below the ids of instances; systemd gives it to nobody either (systemd, UIDS-GIDS)
BELOW, EMPTY = (
    "below",
    "empty",
)  # directories of the stage: what is looked at, and the second layer that overlayfs asks for


def prepare(stage: Path) -> None:
    """Make a place in memory where mounts are put together, and go there."""
    stage.mkdir(parents=True, exist_ok=True)
    mount("tmpfs", stage, "tmpfs", 0, "mode=0755")
    os.chdir(stage)
    for name in (BELOW, EMPTY):
        Path(name).mkdir(mode=0o755)


def view(source: str, target: str, users: int | None, owner: int) -> None:
    """Mount on `target` what everybody may read of a directory. Raises OSError where the kernel cannot.

    `users`: the user namespace, held open, whose ids the machine's ids below 65,536 shall be; None: they stay.
    `owner`: as whom this process works otherwise.
    """
    with placed(source, BELOW, users), as_user(stranger(), owner):
        mount("overlay", target, "overlay", 0, f"lowerdir={BELOW}:{EMPTY}")


def stranger() -> int:
    """A user who owns nothing: not even what is nobody's, where this process has other ids to choose from."""
    with open("/proc/self/uid_map") as file:  # noqa: PTH123 - of the kernel's
        return STRANGER if file.read().split()[:2] == ["0", "0"] else NOBODY


@contextmanager
def placed(source: str, at: str, users: int | None) -> Iterator[None]:
    """Have a directory of the machine's in another place meanwhile; what was mounted of it stays."""
    put(source, at, users)
    try:
        yield
    finally:
        check(libc.umount2(os.fsencode(at), DETACH), f"take {source} away again")


def put(source: str, at: str, users: int | None) -> None:
    """Put a directory of the machine's in another place as well, with its ids or with those of a user namespace."""
    if users is None:
        mount(source, at, "", BIND)
    else:
        move(clone(source, users), at)
