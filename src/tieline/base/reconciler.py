"""Runs one reconciliation per key at a time: woken, coalesced, retried with back-off, never stopped by a bad item."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Hashable

from tieline.base.shutdown import cancelled

log = logging.getLogger(__name__)

FIRST_RETRY = 0.5  # seconds; doubled up to the last
LAST_RETRY = 30.0
CONCURRENT = 8  # reconciliations at a time in each lane: AWS throttles beyond

Reconcile = Callable[[str], Awaitable[float | None]]


class Reconciler:
    """Brings keys to their desired state by `reconcile(key)`, which returns the seconds until the next look, or None.

    Keys of one `lane` wait for each other, for example those of an account that does not answer; lanes do not.
    However often a key is woken while it runs, it runs once more after that. A failure is logged and tried again.
    """

    def __init__(self, name: str, reconcile: Reconcile, lane: Callable[[str], Hashable] = lambda _: None) -> None:
        self._name = name
        self._lane = lane
        self._reconcile = reconcile
        self._wakers: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._slots: dict[Hashable, asyncio.Semaphore] = {}

    def wake(self, key: str) -> None:
        """Look at a key soon."""
        self._wakers.setdefault(key, asyncio.Event()).set()
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._run(key), name=f"{self._name} {key}")

    async def close(self) -> None:
        """Stop all work where it is; the next start takes it up again."""
        await cancelled(*self._tasks.values())

    async def _run(self, key: str) -> None:
        waker, failures = self._wakers[key], 0
        try:
            while True:
                waker.clear()
                try:
                    async with self._slots.setdefault(self._lane(key), asyncio.Semaphore(CONCURRENT)):
                        delay = await self._reconcile(key)
                    failures = 0
                except Exception:
                    delay = min(FIRST_RETRY * 2**failures, LAST_RETRY)
                    failures = min(failures + 1, 10)
                    log.exception("%s %s: failed, next try in %.1f s", self._name, key, delay)
                if delay is None and not waker.is_set():
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(delay):
                        await waker.wait()
        finally:
            self._tasks.pop(key, None)
            self._wakers.pop(key, None)
