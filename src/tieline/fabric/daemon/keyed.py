"""One reconcile per key: at most one run and one follow-up, retried with a growing pause."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

log = logging.getLogger(__name__)
K = TypeVar("K", bound=Hashable)

FIRST_PAUSE = 0.2  # seconds before the first retry of a failed run
LONGEST_PAUSE = 5.0


class Keyed(Generic[K]):
    """Runs `reconcile(key)` for every key that is poked, `width` of them at a time."""

    def __init__(self, reconcile: Callable[[K], Awaitable[None]], width: int) -> None:
        self._reconcile = reconcile
        self._width = asyncio.Semaphore(width)
        self._again: set[K] = set()
        self._tasks: dict[K, asyncio.Task[None]] = {}
        self.errors: dict[K, str] = {}  # why the last run of a key failed

    def poke(self, key: K) -> None:
        """Have the key reconciled soon; a burst of calls becomes one run, or one after the run that is under way."""
        if key in self._tasks:
            self._again.add(key)
        else:
            self._tasks[key] = asyncio.create_task(self._run(key), name=f"reconcile {key}")

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    async def _run(self, key: K) -> None:
        pause = FIRST_PAUSE
        try:
            while True:
                self._again.discard(key)
                try:
                    async with self._width:
                        await self._reconcile(key)
                    self.errors.pop(key, None)
                    pause = FIRST_PAUSE
                except Exception as error:
                    self.errors[key] = str(error)
                    log.warning("%s failed, next try in %.1f s: %s", key, pause, error)
                    self._again.add(key)
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
                if key not in self._again:
                    return
        finally:
            del self._tasks[key]

    async def close(self) -> None:
        """Stop all runs."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
