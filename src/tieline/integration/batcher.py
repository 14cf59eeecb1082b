"""One action's rows on their way: gathered into batches, tried until they are in, poison rows split off."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import random
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final

from tieline.integration.config import Action
from tieline.integration.message import Message, carried, identified
from tieline.integration.metrics import WEIGHED, ActionMetrics
from tieline.integration.rules.compile import Item
from tieline.integration.sinks.failures import Rejected, Unavailable
from tieline.integration.sinks.kind import Writer

FIRST_PAUSE: Final = 0.05  # seconds before a failed write is tried again; doubled up to the longest
LONGEST_PAUSE: Final = 5.0

log = logging.getLogger(__name__)
Done = Callable[[Sequence[Message]], None]
Buried = tuple[dict[str, Any], Message, str]  # a row, its message, and why it is not wanted
Bury = Callable[[Sequence[Buried]], None]  # all of them, or raises OSError


def _unforeseen(error: Exception) -> Unavailable:
    return Unavailable("statement", f"{type(error).__name__}: {error}", "report it with the log")


class Dropped(Exception):
    """The rows are not wanted any more."""


class Stale(Exception):
    """Some of the rows are older than the user wants rows to become."""


class Batcher:
    """Rows of one action. `done` is called with the messages of rows that need nothing more.

    A batch ends at `batch_size` rows or `batch_bytes` of payload, or when its first row has waited `batch_time`. What
    arrives during a write makes up the next batch, so that batches grow with the load.
    """

    def __init__(self, action: Action, writer: Writer, done: Done, bury: Bury, clock: Callable[[], float]) -> None:
        self.action = action
        self.writer = writer
        self.metrics = ActionMetrics()
        self.wrote_at = 0.0  # when a write last succeeded, by the clock
        self.trouble: Unavailable | None = None  # why the present batch is not in
        self.refused = 0  # rows that were rejected since one was last taken
        self.done = done
        self.bury = bury
        self._clock = clock
        self.waiting: list[Item] = []
        self._bytes = 0  # of payload that waits
        self._batch: list[Item] = []  # being written
        self._ripe = asyncio.Event()  # a batch is worth writing
        self._idle = asyncio.Event()  # nothing is waiting or being written
        self._idle.set()
        self._changed = asyncio.Event()  # a failed write need not wait for its pause
        self._timer: asyncio.TimerHandle | None = None
        self._retired = False

    def enriched(self, items: list[Item]) -> list[Item]:
        """The items with what the action needs to know besides what its rule selects."""
        if self.once:
            return identified(items)
        return carried(items) if self.action.CARRIES else items

    @property
    def once(self) -> bool:
        """Whether each row is to be written once, however often its message comes."""
        return bool(getattr(self.action, "exactly_once", False))

    def add(self, items: list[Item], size: int) -> None:
        """Take items with so many bytes of payload."""
        if not items:
            return
        self.waiting += items
        self._bytes += size
        self._idle.clear()
        self._judge()

    def _judge(self) -> None:
        """Is what waits worth writing now, or in a while?"""
        if len(self.waiting) >= self.action.batch_size or self._bytes >= self.action.batch_bytes:
            self._ripe.set()
        elif self.waiting and self._timer is None and not self._ripe.is_set():
            self._timer = asyncio.get_running_loop().call_later(self.action.batch_time, self._ripen)

    def _ripen(self) -> None:
        self._timer = None
        self._ripe.set()

    def update(self, action: Action, writer: Writer) -> None:
        """Use another statement or database from the next attempt on; what waits is kept."""
        self.action, self.writer, self.refused = action, writer, 0
        self._changed.set()

    def retire(self) -> None:
        """Write what waits if that succeeds at once; what does not is dropped and counted."""
        self._retired = True
        self._changed.set()

    @property
    def busy(self) -> bool:
        """Whether anything waits or is being written."""
        return not self._idle.is_set()

    async def drained(self) -> None:
        """Return when nothing waits and nothing is being written."""
        await self._idle.wait()

    def measured(self) -> ActionMetrics:
        """The metrics with the present gauges."""
        self.metrics.queuing = len(self.waiting)
        return self.metrics

    def held(self) -> Iterator[Message]:
        """The messages of rows that wait or are being written; some of the latter may be safe already."""
        for _, message in itertools.chain(self._batch, self.waiting):
            yield message

    async def run(self) -> None:
        """Write batch after batch until cancelled."""
        while True:
            await self._ripe.wait()
            self._batch = self._next()
            self.metrics.inflight = len(self._batch)
            self.metrics.received += len(self._batch)
            await self._commit(self._batch)
            self.metrics.inflight, self._batch = 0, []
            if not self.waiting:
                self._idle.set()

    def _next(self) -> list[Item]:
        """The next batch; what is left, or arrives during its write, begins to ripen again."""
        count, size = min(len(self.waiting), self.action.batch_size), 0
        if self._bytes > self.action.batch_bytes:
            count = 0
            while count < min(len(self.waiting), self.action.batch_size) and size < self.action.batch_bytes:
                size += len(self.waiting[count][1].payload)
                count += 1
        batch, self.waiting = self.waiting[:count], self.waiting[count:]
        self._bytes = sum([len(message.payload) for _, message in self.waiting]) if self.waiting else 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ripe.clear()
        self._judge()
        return batch

    async def _commit(self, batch: list[Item]) -> None:
        """Every row of the batch in the database, in the dead letters, or dropped by the user's own choice."""
        while batch:
            try:
                await self._write(batch)
            except Rejected as rejected:
                await self._divide(batch, rejected)
                return
            except Unavailable as partial:  # which is raised only where some of the rows are in
                batch = self._keep(batch, partial.written)
            except Stale:
                batch = self._without_stale(batch)
                self.waiting = self._without_stale(self.waiting)
            except Dropped:
                self.done([message for _, message in batch])
                return
            else:
                self._settle(batch)
                return

    async def _divide(self, batch: list[Item], rejected: Rejected) -> None:
        """Bury the rows that are named or alone, and write the others, halved where nobody knows which it is."""
        if rejected.rows:
            others = self._keep(batch, {*rejected.written, *rejected.rows}, rejected.rows)
            await self.reject([(*batch[place], error) for place, error in rejected.rows.items()])
            await self._commit(others)
        elif rejected.written:
            await self._commit(self._keep(batch, rejected.written))
        elif len(batch) == 1:
            await self.reject([(*batch[0], str(rejected))])
        else:
            half = len(batch) // 2
            await self._commit(batch[:half])
            await self._commit(batch[half:])

    def _keep(self, batch: list[Item], finished: Collection[int], refused: Collection[int] = ()) -> list[Item]:
        """Settle the rows at the places that are finished, but for those that were refused, and return the others."""
        places = frozenset(finished)
        if written := [batch[place] for place in sorted(places.difference(refused))]:
            self.wrote_at = self._clock()
            self._settle(written)
        return [item for place, item in enumerate(batch) if place not in places]

    async def _write(self, batch: list[Item]) -> None:
        """Try until the database took or rejected the rows, or took some; a retired action tries once."""
        pauses = itertools.chain((FIRST_PAUSE * 2**n for n in range(6)), itertools.repeat(LONGEST_PAUSE))
        while True:
            self._changed.clear()
            try:
                await self.writer.write([output for output, _ in batch])
            except Rejected:
                raise
            except Exception as error:  # whatever it was, the rows are still there to be tried again
                if not isinstance(error, Unavailable):
                    log.exception("action %s broke", self.action.id)
                trouble = error if isinstance(error, Unavailable) else _unforeseen(error)
                self._note(trouble)
            else:
                self.trouble, self.wrote_at = None, self._clock()
                return
            if self._retired and not trouble.written:
                self.metrics.dropped["action_removed"] += len(batch)
                raise Dropped
            self.metrics.retried += len(batch) - len(trouble.written)
            await self._pause(next(pauses))
            if trouble.written:
                raise trouble
            if self._stale_before() > batch[0][1].timestamp:
                raise Stale

    def _stale_before(self) -> float:
        """Unix milliseconds: rows of older messages are not wanted; 0 where the user wants all."""
        return (self._clock() - self.action.request_ttl) * 1000 if self.action.request_ttl else 0.0

    def _without_stale(self, items: list[Item]) -> list[Item]:
        """The items that are wanted; the others are counted, and finished."""
        limit = self._stale_before()
        stale = [message for _, message in items if message.timestamp < limit]
        if not stale:
            return items
        self.metrics.dropped["expired"] += len(stale)
        if items is self.waiting:
            self.metrics.received += len(stale)
            self._bytes -= sum(len(message.payload) for message in stale)
        self.done(stale)
        return [item for item in items if item[1].timestamp >= limit]

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds * random.uniform(0.5, 1)):
                await self._changed.wait()

    def _settle(self, batch: list[Item]) -> None:
        self.refused = 0
        self.metrics.success += len(batch)
        now, step = self._clock() * 1000, len(batch) // WEIGHED + 1
        for _, message in batch[::step]:
            self.metrics.latency.add(now - message.timestamp, step)
        self.done([message for _, message in batch])

    async def reject(self, items: Sequence[Buried]) -> None:
        """Put the rows into the dead letters; a disk that does not take them is waited for."""
        while True:
            try:
                self.bury(items)
                break
            except OSError as full:
                self._note(Unavailable("statement", f"a dead letter could not be kept: {full}"))
                await asyncio.sleep(LONGEST_PAUSE)
        self.metrics.last_error, self.metrics.last_error_at = items[-1][2], int(self._clock() * 1000)
        self.refused += len(items)
        self.metrics.failed += len(items)
        self.done([message for _, message, _ in items])

    def _note(self, trouble: Unavailable) -> None:
        self.trouble = trouble
        self.metrics.last_error = f"{trouble.hop}: {trouble.message}"
        self.metrics.last_error_at = int(self._clock() * 1000)
