"""Has Mosquitto write sessions and queues to disk soon after they changed, however long they are.

Mosquitto 2.0 keeps them in memory and writes all of them at once: a SIGKILL or a power cut loses what it acknowledged
since. Its own `autosave_on_changes` writes everything at every turn of its loop, which stalls a broker with a long
queue; a fixed interval is either late or, again, stalls it. So it is asked by SIGUSR1: at once while there is little
to write, and ever more seldom the more there is, so that writing takes a bounded share of its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from asyncio.subprocess import Process
from pathlib import Path

SHORTEST = 0.25  # seconds between two writes
BYTES_A_SECOND = 8_000_000  # of file that one second between two writes allows: a write does 80 MB/s or better
READ = "rchar:"  # of /proc/PID/io: bytes that the process read, from sockets as well


async def keep_saved(process: Process, file: Path) -> None:
    """For ever: have what changed written, until the process ends or the task is cancelled."""
    seen = -1
    while process.returncode is None:
        await asyncio.sleep(pause(_size(file)))
        now = _read(process.pid)
        if (now != seen or now < 0) and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGUSR1)
            seen = now


def pause(size: int) -> float:
    """The seconds between two writes of a file of this size: the most that a SIGKILL may lose."""
    return max(SHORTEST, size / BYTES_A_SECOND)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _read(pid: int) -> int:
    """How much the broker has read, -1 where that is not told: as long as it stays the same, nothing changed."""
    with contextlib.suppress(OSError, StopIteration, ValueError):
        lines = Path(f"/proc/{pid}/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(READ)).split()[1])
    return -1
