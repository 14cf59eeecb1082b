"""What an instance sees of the machine's files: installed software, and of its settings what everybody may read.

All else begins empty: homes, data, logs, mounted disks. Imported by process 1: nothing but the standard library.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

# Directories of / that hold programs and what belongs to them (FHS 3.0; nix, gnu and snap are package managers').
SOFTWARE = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "opt", "nix", "gnu", "snap"})
ANEW = ("/proc", "/sys", "/dev", "/run", "/tmp")  # every instance has its own
PACKAGES = ("/var/lib/dpkg", "/var/lib/apt", "/var/lib/rpm", "/var/lib/pacman")  # what is installed
DATA = Path("/var")  # its directories stay, and theirs, for servers expect them
OPAQUE = "trusted.overlay.opaque"  # nothing of the lower directory shows (Linux, filesystems/overlayfs)
LOCKED = "{}:*:::::::\n"  # shadow(5): no password fits, and root becomes whom it likes


def is_software(path: str) -> bool:
    """Whether a path of the machine is shown as it is."""
    return path.lstrip("/").partition("/")[0] in SOFTWARE


def is_empty(path: str) -> bool:
    """Whether a path of the machine lies where an instance's files begin empty."""
    return not is_software(path) and not f"{path}/".startswith("/etc/")


def conceal(upper: Path) -> None:
    """Have a layer's directories hide those of the machine that begin empty; owners and modes stay."""
    upper.mkdir(parents=True, exist_ok=True)
    for directory in _emptied():
        with suppress(FileNotFoundError):  # it may go meanwhile
            os.setxattr(_mirrored(directory, upper), OPAQUE, b"y")
            for inner in _directories(directory) if directory.parent == DATA else ():
                _mirrored(inner, upper)


def withhold(etc: Path) -> None:
    """Remove from an instance's own /etc what of the machine's not everybody may read, passwords above all."""
    for base, directories, files in os.walk("/etc"):
        place = etc / Path(base).relative_to("/etc")
        closed = [name for name in directories if not _mode(base, name) & stat.S_IXOTH]
        for name in closed:
            directories.remove(name)
            for inner in _entries(place / name):
                shutil.rmtree(inner) if inner.is_dir() and not inner.is_symlink() else inner.unlink()
        for name in files:
            if not _mode(base, name) & stat.S_IROTH:
                (place / name).unlink(missing_ok=True)
    lock(etc)


def lock(etc: Path) -> None:
    """Give every user of an instance a password that fits nothing: programs that change users ask for a shadow(5)."""
    users = [line.partition(":")[0] for line in (etc / "passwd").read_text().splitlines()]
    shadow = etc / "shadow"
    shadow.touch(mode=0o600)
    shadow.write_text("".join(LOCKED.format(user) for user in users if user))


def _emptied() -> Iterator[Path]:
    for directory in _directories(Path("/")):
        if directory == DATA:
            yield from _directories(directory)
        elif is_empty(str(directory)) and str(directory) not in ANEW:
            yield directory


def _mirrored(directory: Path, upper: Path) -> Path:
    """The layer's own directory in the place of the machine's, with the same owner and mode."""
    place = upper / directory.relative_to("/")
    if not place.exists():
        _mirrored(directory.parent, upper)
        place.mkdir()
        found = directory.stat()
        os.chown(place, found.st_uid, found.st_gid)
        place.chmod(stat.S_IMODE(found.st_mode))
    return place


def _directories(directory: Path) -> list[Path]:
    return [entry for entry in _entries(directory) if entry.is_dir() and not entry.is_symlink()]


def _entries(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []


def _mode(base: str, name: str) -> int:
    """What is a link, or gone, hides nothing by itself."""
    with suppress(FileNotFoundError):
        found = os.lstat(f"{base}/{name}").st_mode
        return 0o777 if stat.S_ISLNK(found) else found
    return 0o777
