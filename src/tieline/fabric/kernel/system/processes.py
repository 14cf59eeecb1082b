"""Processes by what the kernel knows of them, their namespace and their command line; ended by pidfd, never by name."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
PROC = Path("/proc")
GRACE = 30.0  # seconds until a killed process must have gone; it only lacks the processor's time, or a slow disk's
POLL = 0.01
NOBODY = "65534"  # whom forwarders and announcers become


@dataclass(frozen=True, slots=True)
class Process:
    """A process and the moment it began, in clock ticks since boot: a number that is used again began later."""

    pid: int
    began: int

    def is_alive(self) -> bool:
        return _began(self.pid) == self.began


def found(matches: Callable[[int], bool]) -> list[Process]:
    """All processes but this one for which `matches(pid)` holds."""
    pids = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
    ours = os.getpid()
    return [Process(pid, began) for pid in pids if pid != ours and matches(pid) and (began := _began(pid))]


def within(namespace: Path) -> Callable[[int], bool]:
    """Matches the processes whose network namespace is the one that this file holds open; none where it is gone."""
    identity = _identity(namespace)
    return lambda pid: identity is not None and _identity(PROC / str(pid) / "ns/net") == identity


def command(pid: int) -> list[str]:
    """A process's arguments; none for a kernel thread and for one that has ended."""
    with suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    return []


def is_init(pid: int) -> bool:
    """Whether this is process 1 of a pid namespace inside ours."""
    ids = _status(pid, "NSpid")
    return len(ids) > 1 and ids[-1] == "1"


def servant(pid: int, owner: Callable[[list[str]], T | None]) -> T | None:
    """What `owner` makes of the command of a process that root started beside us; None of any other.

    What an instance or another user runs may say anything of itself.
    """
    one = owner(command(pid))
    return one if one is not None and _is_servant(pid) else None


def servants(owner: Callable[[list[str]], T | None]) -> list[tuple[Process, T]]:
    """All processes of which `owner` makes something, with what it makes of them."""
    owners: dict[int, T] = {}

    def matches(pid: int) -> bool:
        one = servant(pid, owner)
        if one is not None:
            owners[pid] = one
        return one is not None

    return [(process, owners[process.pid]) for process in found(matches)]


async def end(processes: Iterable[Process]) -> bool:
    """Kill processes and wait until they are gone; False where there was none. Raises TimeoutError if one stays."""
    waiting = [process for process in processes if _kill(process)]
    async with asyncio.timeout(GRACE):
        for process in waiting:
            while process.is_alive():
                await asyncio.sleep(POLL)
    return bool(waiting)


def tell(process: Process, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; False where it has ended."""
    with suppress(ProcessLookupError):
        handle = os.pidfd_open(process.pid)
        try:
            if process.is_alive():  # the handle now keeps the number from being used again
                signal.pidfd_send_signal(handle, number)
                return True
        finally:
            os.close(handle)
    return False


def _kill(process: Process) -> bool:
    return tell(process, signal.SIGKILL)


def _is_servant(pid: int) -> bool:
    users, ids = _status(pid, "Uid"), _status(pid, "NSpid")
    return len(ids) == len(_status(os.getpid(), "NSpid")) and users[1:2] in (["0"], [NOBODY])


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _began(pid: int) -> int:
    """Field 22 of /proc/PID/stat (proc(5)), counted after the name in parentheses; 0 for one that has ended."""
    with suppress(OSError, IndexError):
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return 0 if fields[0] in "ZX" else int(fields[19])
    return 0


def _status(pid: int, field: str) -> list[str]:
    with suppress(OSError):
        lines: Iterator[str] = iter((PROC / str(pid) / "status").read_text().splitlines())
        return next((line.split()[1:] for line in lines if line.startswith(field + ":")), [])
    return []
