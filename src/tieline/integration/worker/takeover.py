"""What a process that is not needed any more left on disk, dead letters and buffered rows, goes to one that stays.

Whoever works in a directory holds its lock, and the kernel gives that up with the process, however it ends. An heir
takes a little at a time, each part safe in its own directory before it is removed from the other: cut short in between,
some rows come twice, and no letter does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Final

from tieline.base.locks import acquire
from tieline.base.shutdown import cancelled
from tieline.integration.delivery.buffer import Buffer
from tieline.integration.delivery.dead_letters import FILE, DeadLetters
from tieline.integration.delivery.outlets import PLACES

LOCK: Final = "lock"
LOCK_SECONDS: Final = 5.0  # that a predecessor is waited for: it ends within three of its owner's death
LOCK_POLL: Final = 0.05
AGAIN_SECONDS: float = 2.0  # before an heir looks again for what it could not take

log = logging.getLogger(__name__)


def locked(directory: Path, seconds: float = 0) -> FileIO | None:
    """The lock on a directory, until it is closed; None where somebody else keeps it for so many seconds."""
    directory.mkdir(parents=True, exist_ok=True)
    file, deadline = FileIO(directory / LOCK, "a"), time.monotonic() + seconds
    while not acquire(file):
        if time.monotonic() >= deadline:
            file.close()
            return None
        time.sleep(LOCK_POLL)
    return file


def occupied(directory: Path | None) -> FileIO | None:
    """The lock of whoever works there; without it, work goes on after a while all the same."""
    if directory is None:
        return None
    lock = locked(directory, LOCK_SECONDS)
    if lock is None:
        log.warning("somebody else works in %s, and does not end", directory)
    return lock


@contextlib.contextmanager
def _visited(directory: Path) -> Iterator[bool]:
    """Whether nobody works there; then nobody begins to meanwhile."""
    lock = locked(directory)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.close()


class Heir:
    """Takes over for the pipeline of a directory. `wanted` has the places of rows that some action is to write, None
    while that is not known; `buffers` those that are in use; `arrived` is awaited when one came that is not yet.
    """

    def __init__(
        self,
        directory: Path,
        letters: DeadLetters,
        wanted: Callable[[], set[Path] | None],
        buffers: Callable[[], Mapping[Path, Buffer]],
        arrived: Callable[[], Awaitable[None]],
    ) -> None:
        self._directory, self._letters = directory, letters
        self._wanted, self._buffers, self._arrived = wanted, buffers, arrived
        self._task: asyncio.Task[None] | None = None

    async def inherit(self, estates: Iterable[Path]) -> None:
        """Take what is in these directories from now on, and in no others, until nothing is left there."""
        await self.stop()
        if those := tuple(estates):
            self._task = asyncio.create_task(self._settle(those))

    async def stop(self) -> None:
        """Take nothing more."""
        task, self._task = self._task, None
        if task is not None:
            await cancelled(task)

    async def _settle(self, estates: tuple[Path, ...]) -> None:
        left = {estate for estate in estates if estate.is_dir()}
        while left:
            left = {estate for estate in left if not await self._take(estate)}
            if left:
                await asyncio.sleep(AGAIN_SECONDS)

    async def _take(self, estate: Path) -> bool:
        """Take what can be taken; whether nothing is left."""
        try:
            while (places := _places(estate)) or (estate / FILE).exists():
                with _visited(estate) as free:
                    if not free or (wanted := self._wanted()) is None:
                        return False
                    self._letters.inherit(estate)
                    moved = [await self._take_rows(estate, place, wanted) for place in places]
                if not any(moved) and places:
                    return False
        except OSError as error:
            log.warning("what is left in %s cannot be taken over yet: %s", estate, error)
            return False
        return True

    async def _take_rows(self, estate: Path, place: Path, wanted: set[Path]) -> bool:
        """Take some rows of one action; whether there were any that could be."""
        own = self._directory / place.relative_to(estate)
        if own not in wanted:
            log.warning("rows in %s are of no action any more, and removed", place)
            shutil.rmtree(place)
        elif (buffer := self._buffers().get(own)) is not None:
            return await buffer.inherit(place)
        elif own.exists():  # of a rule that cannot run now
            return False
        else:
            own.parent.mkdir(parents=True, exist_ok=True)
            place.rename(own)
            await self._arrived()
        return True


def _places(estate: Path) -> list[Path]:
    return sorted(estate.glob(PLACES))
