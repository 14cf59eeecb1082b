"""One action's rows on their way: gathered into batches, tried until they are in, bad rows found and buried."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from tieline.integration.config.shapes import Action
from tieline.integration.delivery.triage import Triage
from tieline.integration.delivery.verdicts import Case, End
from tieline.integration.messages.message import Message, carried, identified
from tieline.integration.metrics import WEIGHED, ActionMetrics
from tieline.integration.rules.compile.compile import Item
from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.base.kind import Writer

FIRST_PAUSE: Final = 0.05  # seconds before a failed write is tried again; doubled up to the longest
LONGEST_PAUSE: Final = 5.0
TOGETHER: Final = 1000  # letters that are written to disk at once
MOST_SAID: Final = 1000  # characters of an error that nobody foresaw
FIXED: Final = "correct the action, the rule or the table: the rows wait, and are written by themselves then"

log = logging.getLogger(__name__)
Done = Callable[[Sequence[Message]], None]
Buried = tuple[Any, Message, str]  # a row, its message, and why it is not wanted
Bury = Callable[[Sequence[Buried]], None]  # all of them, or raises OSError


class Batcher:
    """Rows of one action. `done` is called with the messages of rows that need nothing more.

    A batch ends at `batch_size` rows or `batch_bytes` of payload, or when its first row has waited `batch_time`. What
    arrives during a write makes up the next batch, so that batches grow with the load. What a failed write leaves is in
    the triage, which says what is tried next.
    """

    def __init__(
        self, action: Action, writer: Writer, done: Done, bury: Bury, clock: Callable[[], float], owner: str = ""
    ) -> None:
        self.action = action
        #: Of the rule and the action, in the ids of their rows. A hash, as the columns for these are short.
        self._mark = hashlib.blake2s(f"{owner}\0{action.id}".encode(), digest_size=4).hexdigest()
        self.writer = writer
        self.metrics = ActionMetrics()
        self.wrote_at = 0.0  # when a write last succeeded, by the clock
        self.trouble: Unavailable | None = None  # why nothing is taken at present
        self.done = done
        self.bury = bury
        self.holding = False  # rows are refused one after the other, and kept; none was taken since
        #: Asked while rows are held: puts rows elsewhere where there are too many, and says whether there still are.
        self.relieve: Callable[[], bool] = lambda: False
        self._clock = clock
        self.waiting: list[Item] = []
        self._bytes = 0  # of payload that waits
        self._batch: list[Item] = []  # being written, while nothing is wrong
        self._triage = Triage(action.inflight_window == 1)
        self._said: Unavailable | None = None  # what the last failed write ended with
        self._letters: list[Case] = []  # that are not on disk yet
        self._pauses = 0  # since a row was last taken
        self._ripe = asyncio.Event()  # a batch is worth writing, or rows that failed are to be tried again
        self._idle = asyncio.Event()  # nothing is waiting or being written
        self._idle.set()
        self._changed = asyncio.Event()  # a failed write need not wait for its pause
        self._timer: asyncio.TimerHandle | None = None
        self._due: asyncio.TimerHandle | None = None  # until what is set aside is tried again
        self._retired = False

    def enriched(self, items: list[Item]) -> list[Item]:
        """The items with what the action needs to know besides what its rule selects."""
        if self.once:
            return identified(items, self._mark)
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
        self.action, self.writer = action, writer
        self._triage.ordered = action.inflight_window == 1
        self._changed.set()
        self._wake()

    def retire(self) -> None:
        """Write what waits if that succeeds at once; what does not is dropped and counted."""
        self._retired = True
        self._changed.set()
        self._wake()

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
        letters = [case.item for case in self._letters]
        for _, message in itertools.chain(letters, self._batch, self._triage.items(), self.waiting):
            yield message

    def surplus(self, batches: int) -> list[Item]:
        """Give away what waits beyond so many batches."""
        rows, size = 0, 0
        while rows < min(len(self.waiting), batches * self.action.batch_size):
            size += len(self.waiting[rows][1].payload)
            if size > batches * self.action.batch_bytes:
                break
            rows += 1
        given, self.waiting = self.waiting[rows:], self.waiting[:rows]
        self._bytes -= sum([len(message.payload) for _, message in given])
        return given

    async def run(self) -> None:
        """Write batch after batch until cancelled."""
        while True:
            await self._ripe.wait()
            if self._due is None:
                self._triage.again()
            batch = self._next()
            if batch and self._triage.idle and len(batch) <= self._triage.window:
                batch = await self._at_once(batch)
            self._triage.take(batch)
            if self._letters or not self._triage.idle:
                await self._work()
            if not self.waiting and self._triage.idle:
                self._idle.set()

    async def _at_once(self, batch: list[Item]) -> list[Item]:
        """Write a batch while nothing is wrong; what is left to do where it fails."""
        self._batch = batch
        try:
            await self.writer.write([output for output, _ in batch])
        except Exception as error:
            self._triage.take(batch)
            self._batch = []
            await self._judged(batch, error)
            return []
        self.trouble, self.wrote_at, self._batch = None, self._clock(), []
        self._settle(batch)
        return []

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
        self.metrics.inflight += len(batch)
        self.metrics.received += len(batch)
        return batch

    # While something is wrong

    async def _work(self) -> None:
        """Try what is in hand until all of it is settled, or set aside for a while during which others may be tried."""
        triage = self._triage
        while True:
            while rows := triage.next(self.action.batch_size):
                await self._try(rows)
            self._letters += triage.rest(bool(self.waiting))
            await self._flush()
            if triage.idle or (self._retired and self._give_up()):
                self._settled()
                return
            self.trouble = self._stuck() if triage.stuck else None
            if not triage.held:
                self._later()
                return
            self.holding = True
            crowded = self.relieve()
            await self._pause()
            self._without_stale()
            triage.again(farther=not crowded)

    async def _try(self, rows: list[Item]) -> None:
        try:
            await self.writer.write([output for output, _ in rows])
        except Exception as error:
            await self._judged(rows, error)
        else:
            self.trouble, self.wrote_at = None, self._clock()
            verdict = self._triage.ended(len(rows), End("taken"))
            self._settle(verdict.taken)
            await self._keep_letters(verdict.letters)

    async def _judged(self, rows: list[Item], error: Exception) -> None:
        """What follows from a write that failed; returns when the next may be tried."""
        said = _understood(error)
        if not isinstance(error, Rejected | Unavailable):
            log.warning("action %s: a write broke", self.action.id, exc_info=error)
        end = _end(said, len(rows))
        verdict = self._triage.ended(len(rows), end)
        if verdict.taken:
            self.wrote_at = self._clock()
            self._settle(verdict.taken)
        self._said = said if isinstance(said, Unavailable) else _refusing(said)
        self._note(self._said)
        self.metrics.retried += len(rows) - len(verdict.taken) - len(verdict.letters)
        await self._keep_letters(verdict.letters)
        if self._retired and end.came not in ("taken", "refused"):
            self._give_up()
            return
        if not verdict.taken and end.came in ("silence", "away"):
            self.trouble = self._said
        if verdict.pause:
            self.trouble = self._said
            await self._flush()
            await self._pause(self._said.retry_after)
            self._without_stale()
            if verdict.taken and self._triage.waiting < self.action.batch_size:
                self._triage.take(self._next())

    def _stuck(self) -> Unavailable | None:
        """The trouble where rows fail and none is taken."""
        said, count = self._said, len(self._triage.aside)
        if said is None or not self._triage.held:
            return said
        message = f"nothing is taken: {count} rows were refused one after the other, and are kept: {said.message}"
        return Unavailable(said.hop, message, said.hint or FIXED, said.cause)

    async def _pause(self, least: float = 0.0) -> None:
        """Wait, the longer the longer nothing was taken; a change ends the pause."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(least, self._pause_seconds())):
                await self._changed.wait()

    def _pause_seconds(self) -> float:
        self._pauses += 1
        growing: float = FIRST_PAUSE * 2 ** min(self._pauses - 1, 10)
        return min(growing, LONGEST_PAUSE) * random.uniform(0.5, 1)

    def _later(self) -> None:
        """Have what is set aside tried again after a while."""
        if self._due is None:
            least = self._said.retry_after if self._said else 0.0
            self._due = asyncio.get_running_loop().call_later(max(least, self._pause_seconds()), self._wake)

    def _wake(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
            self._ripe.set()

    def _settled(self) -> None:
        """Nothing is wrong any more."""
        self.trouble, self._pauses = None, 0
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _give_up(self) -> bool:
        """Drop what a retired action could not write at once."""
        gone = self._triage.drop(lambda _: True)
        self.metrics.dropped["action_removed"] += len(gone)
        self.metrics.inflight -= len(gone)
        self.done([message for _, message in gone])
        return True

    def _without_stale(self) -> None:
        """Drop and count the rows that are older than the user wants rows to become."""
        if not self.action.request_ttl:
            return
        limit = (self._clock() - self.action.request_ttl) * 1000
        stale = self._triage.drop(lambda item: item[1].timestamp < limit)
        self.metrics.inflight -= len(stale)
        waiting = [item for item in self.waiting if item[1].timestamp < limit]
        if waiting:
            self.waiting = [item for item in self.waiting if item[1].timestamp >= limit]
            self.metrics.received += len(waiting)
            self._bytes -= sum(len(message.payload) for _, message in waiting)
        if stale or waiting:
            self.metrics.dropped["expired"] += len(stale) + len(waiting)
            self.done([message for _, message in (*stale, *waiting)])

    # What becomes of rows

    def _settle(self, batch: list[Item]) -> None:
        if not batch:
            return
        self._pauses, self.holding = 0, False
        self.metrics.success += len(batch)
        self.metrics.inflight -= len(batch)
        now, step = self._clock() * 1000, len(batch) // WEIGHED + 1
        for _, message in batch[::step]:
            self.metrics.latency.add(now - message.timestamp, step)
        self.done([message for _, message in batch])

    async def _keep_letters(self, cases: list[Case]) -> None:
        self._letters += cases
        if len(self._letters) >= TOGETHER:
            await self._flush()

    async def _flush(self) -> None:
        """Have the letters on disk, and their messages acknowledged."""
        if self._letters:
            cases = self._letters
            await self.reject([(*case.item, case.why) for case in cases])
            self._letters = []
            self.metrics.inflight -= len(cases)

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
        self.metrics.failed += len(items)
        self.done([message for _, message, _ in items])

    def _note(self, trouble: Unavailable) -> None:
        self.metrics.last_error = f"{trouble.hop}: {trouble.message}"
        self.metrics.last_error_at = int(self._clock() * 1000)


def _understood(error: Exception) -> Unavailable | Rejected:
    """Any error of a write in the pipeline's terms; one that nobody foresaw may be the fault of a row."""
    if isinstance(error, Unavailable | Rejected):
        return error
    said = f"{type(error).__name__}: {error}"[:MOST_SAID]
    return Unavailable("statement", said, "report it with the log", said, came="answer")


def _refusing(said: Rejected) -> Unavailable:
    why = next(iter(said.rows.values()), str(said))
    return Unavailable("statement", why, FIXED, why)


def _end(said: Unavailable | Rejected, count: int) -> End:
    """How the write of so many rows ended; what is said of rows that are not there is left out."""
    written = frozenset(place for place in said.written if 0 <= place < count)
    rows = {place: why for place, why in said.rows.items() if 0 <= place < count and place not in written}
    came = "refused" if isinstance(said, Rejected) else said.came
    return End(came, written, rows, next(iter(rows.values()), str(said)))
