"""Live state: read once for all pages of the same person, compared, and pushed to each only when it changed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from tieline.console import context

S = TypeVar("S")
log = logging.getLogger(__name__)


class Feed(Generic[S]):
    """One reader with its pages. `read` runs in a thread; it works only while a page looks on.

    A reader that takes long is asked less often: it rests `REST_FACTOR` times as long as it worked.
    """

    REST_FACTOR = 4

    def __init__(self, read: Callable[[], S], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._pages: dict[int, Callable[[S], None]] = {}
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.last: S | None = None

    async def first(self) -> S:
        """The present state, read now if nobody looks on."""
        if self.last is None or not self._pages:
            self.last = await asyncio.to_thread(self._read)
        return self.last

    def join(self, page: int, push: Callable[[S], None]) -> None:
        """Tell a page of every change."""
        self._pages[page] = push
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="feed")

    def leave(self, page: int) -> None:
        """Forget a page."""
        self._pages.pop(page, None)

    def hurry(self) -> None:
        """Something was just changed: read again now."""
        self._hurry.set()

    async def _work(self) -> None:
        pause = self._seconds
        while self._pages:
            try:
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            except TimeoutError:
                pass
            self._hurry.clear()
            began = time.monotonic()
            try:
                now = await asyncio.to_thread(self._read)
            except Exception:
                log.exception("a feed could not be read")
                continue
            pause = max(self._seconds, self.REST_FACTOR * (time.monotonic() - began))
            if now != self.last:
                self.last = now
                self._push(now)

    def _push(self, now: S) -> None:
        for page, push in list(self._pages.items()):
            try:
                push(now)
            except Exception:
                log.exception("a page could not be brought up to date")
                self.leave(page)


def feed(key: Hashable, read: Callable[[], S], seconds: float) -> Feed[S]:
    """The feed of this key, made at first use."""
    feeds: dict[Any, Any] = context.current.feeds
    found: Feed[S] = feeds.setdefault(key, Feed(read, seconds))
    for other in [k for k, f in feeds.items() if f is not found and not f._pages]:
        del feeds[other]
    return found
