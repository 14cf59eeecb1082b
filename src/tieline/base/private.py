"""A directory for its owner alone, and processes whose files are: whatever was there, and whatever mode it had.

A mode that is given at creation only is not one that holds: who makes the directory first chooses.
"""

from __future__ import annotations

import os
import pwd
import resource
import stat
from contextlib import suppress
from pathlib import Path

from tieline.base.trees import DIRECTORY

ALL = (1 << 32) - 1  # ids of a machine, and of a user namespace that has them all (user_namespaces(7))
BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class NotPrivate(OSError):
    """A directory cannot be made private, for it is another user's; the message says whose, and what to do."""


def harden() -> None:
    """From now on every file of this process, and of what it starts, is for its owner, and none is its memory."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def directory(path: Path) -> None:
    """Have a directory that is ours, with mode 0700, in places that nobody else can put another directory into.

    Raises NotPrivate, and OSError; nothing is changed then.
    """
    _refuse_replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    handle = os.open(path, os.O_RDONLY | DIRECTORY)
    try:
        found = os.fstat(handle)
        _refuse_others(path, found)
        if found.st_mode & OTHERS or found.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            os.fchmod(handle, 0o700)  # before looking: nothing can be left there between the two
        if found.st_mode & BY_OTHERS:
            try:
                _refuse_planted(path, handle)
            except NotPrivate:
                os.fchmod(handle, stat.S_IMODE(found.st_mode))
                raise
    finally:
        os.close(handle)


def _refuse_replaceable(path: Path) -> None:
    """Who may rename in a directory above ours may put another one in its place, while we work in it as well."""
    for above in sorted({*path.absolute().parents, *path.resolve().parents}):
        try:
            found = above.stat()
        except FileNotFoundError:  # it is made by us
            continue
        everybody = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
        if found.st_uid not in _trusted() or everybody:
            whose = "everybody may write there" if everybody else f"it is {_name(found.st_uid)}'s"
            raise NotPrivate(
                f"{path} lies in {above}, and {whose}: who may rename there can put another directory in its place; "
                "name a directory elsewhere"
            )


def _trusted() -> set[int]:
    """This user, root, and in a user namespace whoever of the machine is not in it, its root above all."""
    whole = Path("/proc/self/uid_map").read_text().split() == ["0", "0", str(ALL)]
    return {os.geteuid(), 0, *([] if whole else [int(Path("/proc/sys/kernel/overflowuid").read_text())])}


def _refuse_others(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        owner, own = _name(found.st_uid), _name(os.geteuid())
        raise NotPrivate(
            f"{path} belongs to {owner}, who could read and replace all in it: give it to {own} "
            f"(chown -R {own} {path}), or name another directory"
        )


def _refuse_planted(path: Path, handle: int) -> None:
    """Where others could write, what is there may be theirs."""
    for name in sorted(os.listdir(handle)):
        one = os.stat(name, dir_fd=handle, follow_symlinks=False)
        if one.st_uid != os.geteuid() or stat.S_ISLNK(one.st_mode) or (stat.S_ISREG(one.st_mode) and one.st_nlink > 1):
            raise NotPrivate(
                f"others may write in {path}, and {name!r} there is not ours alone: look at it, remove what you did "
                f"not make, then `chmod 700 {path}`"
            )


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
