"""Live state: read once for all pages of the same person, compared, and pushed to each only when it changed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Hashable
from functools import wraps
from operator import is_
from typing import Any, Generic, TypeVar, TypeVarTuple

from tieline.base.change_signal import Pulse
from tieline.console.session import context

A = TypeVarTuple("A")
S = TypeVar("S")
log = logging.getLogger(__name__)


class Feed(Generic[S]):
    """One reader with its pages. `read` runs in a thread; it works only while a page looks on.

    It reads again after `seconds`; with a `pulse`, only where that beat since, and every `LONGEST` seconds in any case.
    A reader that takes long is asked less often: it rests `REST_FACTOR` times as long as it worked.
    """

    REST_FACTOR = 4
    LONGEST = 5.0

    def __init__(self, read: Callable[[], S], seconds: float, pulse: Pulse | None = None) -> None:
        self._read = read
        self._seconds = seconds
        self._pulse = pulse
        self._pages: dict[int, Callable[[S], None]] = {}
        self._hurried, self._stale, self._told = False, True, asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.last: S | None = None

    async def first(self) -> S:
        """The present state, read now if nobody looks on."""
        if self.last is None or not self._pages:
            self.last = await asyncio.to_thread(self._read)
        return self.last

    def join(self, page: int, push: Callable[[S], None]) -> None:
        """Tell a page of every change."""
        if not self._pages:  # nobody listened since the page had its first state
            self._beat()
        self._pages[page] = push
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work(), name="feed")

    def leave(self, page: int) -> None:
        """Forget a page."""
        self._pages.pop(page, None)

    def hurry(self) -> None:
        """Something was just changed: read again now."""
        self._hurried = True
        self._told.set()

    def _beat(self) -> None:
        self._stale = True
        self._told.set()

    async def _work(self) -> None:
        if self._pulse is not None:
            self._pulse.listen(self._beat)
        try:
            await self._follow()
        finally:
            if self._pulse is not None:
                self._pulse.leave(self._beat)

    async def _follow(self) -> None:
        pause = self._seconds
        while self._pages:
            await self._rest(pause)
            self._hurried, self._stale = False, self._pulse is None
            began = time.monotonic()
            try:
                now = await asyncio.to_thread(self._read)
            except Exception:
                log.exception("a feed could not be read")
                self._stale = True
                continue
            pause = max(self._seconds, self.REST_FACTOR * (time.monotonic() - began))
            if now != self.last:
                self.last = now
                self._push(now)

    async def _rest(self, pause: float) -> None:
        """Until somebody hurries, or the pause is over and there may be news."""
        began = time.monotonic()
        while not self._hurried:
            left = began + (pause if self._stale else max(pause, self.LONGEST)) - time.monotonic()
            if left <= 0:
                return
            self._told.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._told.wait()

    def _push(self, now: S) -> None:
        for page, push in list(self._pages.items()):
            try:
                push(now)
            except Exception:
                log.exception("a page could not be brought up to date")
                self.leave(page)


def feed(key: Hashable, read: Callable[[], S], seconds: float, pulse: Pulse | None = None) -> Feed[S]:
    """The feed of this key, made at first use."""
    feeds: dict[Any, Any] = context.current.feeds
    found: Feed[S] = feeds.setdefault(key, Feed(read, seconds, pulse))
    for other in [k for k, f in feeds.items() if f is not found and not f._pages]:
        del feeds[other]
    return found


def shared(work: Callable[[*A], S]) -> Callable[[*A], S]:
    """A pure function of the state that each page asks for, worked out once for all pages of the same person.

    It is asked anew when its arguments are other objects than before. Where the result is equal to the last one, that
    is answered, so that a page sees at a glance that nothing changed.
    """
    known: tuple[tuple[*A], S] | None = None

    @wraps(work)
    def asked(*given: *A) -> S:
        nonlocal known
        if known is not None and len(known[0]) == len(given) and all(map(is_, known[0], given)):
            return known[1]
        result = work(*given)
        if known is not None and known[1] == result:
            result = known[1]
        known = (given, result)
        return result

    return asked
