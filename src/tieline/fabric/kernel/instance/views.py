"""What an instance sees of the machine's files: installed software, and of its settings what everybody may read.

All else begins empty: homes, data, logs, mounted disks. Imported by process 1: nothing but the standard library.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tieline.base.trees import InTheWay, Tree

# Directories of / that hold programs and what belongs to them (FHS 3.0; nix, gnu and snap are package managers').
SOFTWARE = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "opt", "nix", "gnu", "snap"})
ANEW = ("/proc", "/sys", "/dev", "/run", "/tmp")  # every instance has its own
PACKAGES = ("/var/lib/dpkg", "/var/lib/apt", "/var/lib/rpm", "/var/lib/pacman")  # what is installed
# Closed on every Debian (dpkg(1), apt-get(8)): locks, which hold nothing, and where apt keeps what it is loading.
LOCKS = ("/var/lib/dpkg/lock", "/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/triggers/Lock", "/var/lib/apt/lists/lock")
LOADING = Path("/var/lib/apt/lists/partial")
DATA = Path("/var")  # its directories stay, and theirs, for servers expect them
OPAQUE = "trusted.overlay.opaque"  # nothing of the lower directory shows (Linux, filesystems/overlayfs)
LOCKED = "{}:*:::::::\n"  # shadow(5): no password fits, and root becomes whom it likes


def is_software(path: str) -> bool:
    """Whether a path of the machine is shown as it is."""
    return path.lstrip("/").partition("/")[0] in SOFTWARE


def is_empty(path: str) -> bool:
    """Whether a path of the machine lies where an instance's files begin empty."""
    return not is_software(path) and not f"{path}/".startswith("/etc/")


class Closed(NamedTuple):
    """What of the machine's, below some directories, not everybody may read: outermost directories, and files."""

    directories: list[str]
    files: list[str]
    everywhere: bool = False  # whether programs were looked at as well


def closed(places: Iterable[str], *, everywhere: bool = False) -> Closed:
    """Look for it there; `everywhere`: also among programs, and the files that lie in / itself."""
    found, waiting = Closed([], [], everywhere), [*places, *(f"/{name}" for name in SOFTWARE if everywhere)]
    if everywhere:
        found.files.extend(entry.path for entry in os.scandir("/") if _is_closed(entry, stat.S_IROTH, directory=False))
    while waiting:
        with suppress(OSError):  # it may go meanwhile
            for entry in os.scandir(waiting.pop()):
                if entry.is_dir(follow_symlinks=False):
                    chosen = found.directories if _is_closed(entry, stat.S_IXOTH, directory=True) else waiting
                    chosen.append(entry.path)
                elif _is_closed(entry, stat.S_IROTH, directory=False):
                    found.files.append(entry.path)
    return found


def conceal(upper: Tree, more: Iterable[str]) -> None:
    """Have a layer's directories hide those of the machine that begin empty, and `more`; owners and modes stay.

    What the instance has put in the place of one hides it already.
    """
    for directory in (*_emptied(), *map(Path, more)):
        with suppress(FileNotFoundError, InTheWay), _mirrored(directory, upper) as own:  # it may go meanwhile
            own.set_attribute(OPAQUE, b"y")
            for inner in _directories(directory) if directory.parent == DATA else ():
                with suppress(FileNotFoundError, InTheWay), _made(inner, own):
                    pass


def reopen(layers: Tree) -> None:
    """Give an instance a place of its own for what apt is loading, since it may not look into the machine's."""
    if LOADING.is_dir():
        name, inside = LOADING.parts[3], "/".join(LOADING.parts[4:])
        with layers.below(f"{name}/upper/{inside}", make=0o755) as own:
            found = LOADING.stat()
            own.set_attribute(OPAQUE, b"y")
            own.set_mode(stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid))


def withhold(root: Tree, hidden: Closed) -> None:
    """Remove from an instance's root, which is this process's, what of the machine's not everybody may read."""
    for path in hidden.files:
        with suppress(InTheWay):  # the instance has something else there
            root.remove(path)
    for path in hidden.directories:
        with suppress(FileNotFoundError, InTheWay), root.below(path) as directory:
            for name in directory.names():  # none where the layer hides them
                _remove(directory, name)


def lock(root: Tree) -> None:
    """Give every user of an instance a password that fits nothing: programs that change users ask for a shadow(5)."""
    users = [line.partition(":")[0] for line in root.read("etc/passwd").decode(errors="replace").splitlines()]
    root.write("etc/shadow", "".join(LOCKED.format(user) for user in users if user).encode(), lasting=False)


def _remove(directory: Tree, name: str) -> None:
    import shutil  # costs a start some milliseconds, which most need not pay

    found = directory.found(name)
    if found is not None and stat.S_ISDIR(found.st_mode):
        shutil.rmtree(name, dir_fd=directory.handle)
    else:
        directory.remove(name)


def _emptied() -> Iterator[Path]:
    for directory in _directories(Path("/")):
        if directory == DATA:
            yield from _directories(directory)
        elif is_empty(str(directory)) and str(directory) not in ANEW:
            yield directory


def _mirrored(directory: Path, upper: Tree) -> Tree:
    """The layer's own directory in the place of the machine's, with the same owner and mode."""
    inside = directory.relative_to("/")
    with suppress(FileNotFoundError):
        return upper.below(inside)
    if directory.parent == Path("/"):
        return _made(directory, upper)
    with _mirrored(directory.parent, upper) as parent:
        return _made(directory, parent)


def _made(directory: Path, parent: Tree) -> Tree:
    """The same inside the one above it."""
    with suppress(FileNotFoundError):
        return parent.below(directory.name)
    found = directory.stat()
    own = parent.below(directory.name, make=0o700)
    own.set_mode(stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid))
    return own


def _directories(directory: Path) -> list[Path]:
    return [entry for entry in _entries(directory) if entry.is_dir() and not entry.is_symlink()]


def _entries(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _is_closed(entry: os.DirEntry[str], right: int, *, directory: bool) -> bool:
    """Whether not everybody has a right to it; what is a link, or gone, hides nothing by itself."""
    with suppress(FileNotFoundError):
        mode = entry.stat(follow_symlinks=False).st_mode
        return not stat.S_ISLNK(mode) and stat.S_ISDIR(mode) == directory and not mode & right
    return False
