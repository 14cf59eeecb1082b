"""User namespaces of instances: each has user ids of its own on the machine, where the machine allows that."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path

from tieline.fabric.kernel.instance import views
from tieline.fabric.kernel.instance.space import IDS, NOT_HERE
from tieline.fabric.kernel.net import namespaces
from tieline.fabric.kernel.system import commands, names, runtime
from tieline.fabric.kernel.system.names import Footprint

PROGRAM = Path(__file__).with_name("space.py")
# Between what systemd gives to its containers and what it gives to foreign images: nobody's (systemd, UIDS-GIDS).
FIRST, RANGES = 0x70000000, 4094
log = logging.getLogger(__name__)
_told: set[str] = set()  # why instances share the machine's ids, once each


async def ensure(footprint: Footprint, id: str) -> bool:
    """Have an instance's network namespace, owned by a user namespace of its own; True if anything changed."""
    make = partial(_make, footprint, id) if is_possible() else None
    return await namespaces.ensure(footprint.namespace(id), namespaces.HOST_SETTINGS, make)


def forget(footprint: Footprint, id: str) -> None:
    """Let its ids be another's."""
    for entry in _ranges(footprint).glob("*"):
        if entry.is_symlink() and os.readlink(entry) == id:  # noqa: PTH115 - the text, which is no path
            entry.unlink(missing_ok=True)


def is_possible() -> bool:
    """Whether this process is the machine's own root: that of an ordinary user's world is nobody's root already."""
    return Path("/proc/self/uid_map").read_text().split()[:2] == ["0", "0"]


def shown(footprint: Footprint) -> list[str]:
    """The places whose files an instance sees with ids of its own."""
    return ["/", *filter(os.path.isdir, views.PACKAGES), str(footprint.state)]


async def _make(footprint: Footprint, id: str) -> None:
    """Make the namespace; as before, with the machine's ids, where files cannot be shown with others."""
    namespace, first = footprint.namespace(id), FIRST + _claim(footprint, id) * IDS
    footprint.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    program = (
        sys.executable,
        "-I",
        "-S",
        "-B",
        str(PROGRAM),
        str(names.path(namespace)),
        str(first),
        *shown(footprint),
    )
    try:
        await commands.write(*program)
    except commands.KernelError as error:
        if error.status != NOT_HERE:
            raise
        if error.stderr not in _told:
            _told.add(error.stderr)
            log.warning("instances share the machine's user ids (tieline doctor --host tells how to change that)")
        await commands.write("ip", "netns", "add", namespace)


def _claim(footprint: Footprint, id: str) -> int:
    """A range that no other instance of this fabric has; where others begin to look is as good as drawn."""
    place = _ranges(footprint)
    runtime.make(footprint, place)
    forget(footprint, id)
    begin = int(sha256(footprint.namespace(id).encode()).hexdigest(), 16)
    for step in range(RANGES):
        number = (begin + step) % RANGES
        with suppress(FileExistsError):
            os.symlink(id, place / str(number))  # noqa: PTH211 - made whole or not at all, as a claim
            return number
    raise commands.KernelError("claim user ids", 1, f"all {RANGES} ranges are taken")


def _ranges(footprint: Footprint) -> Path:
    return footprint.runtime / "ids"
