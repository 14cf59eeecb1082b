"""Rows of one action that its database does not take yet, on disk: safe, so that the broker need not keep them.

It stands before a batcher. While the database keeps up, rows pass through; when it does not, they go to disk, in order
behind what waits already, and are acknowledged from there. A full buffer waits, or gives up its oldest rows, as chosen.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from tieline.integration.config.shapes import Action
from tieline.integration.delivery.batcher import Batcher, Done
from tieline.integration.delivery.spool import Damaged, Spool
from tieline.integration.messages.message import Message
from tieline.integration.messages.plain import deep
from tieline.integration.rules.compile.compile import Item

PASSING: Final = 4  # batches that may wait in memory before rows go to disk
DRAIN_POLL: Final = 0.05
PORTION: Final = 2000  # rows written to disk, or read, at once
PORTION_BYTES: Final = 4 << 20
NO_RECORD: Final = "it cannot be kept on disk: a number of more than 64 bits, no text, or too many levels"
LEVELS: Final = 500  # of a row on disk: half of those that Python reads back
TURN: Final = 0.5  # seconds for taking over rows, before others get at the disk
PAUSE: Final = 0.5  # seconds before a full or broken disk is tried again


class Chunk:
    """Rows that were read from disk together: given up there once all of them are in."""

    __slots__ = ("end", "left")

    def __init__(self, end: int, left: int) -> None:
        self.end = end
        self.left = left


class Stored(Message, eq=False, gc=False):
    """A message that came from disk: the broker has had its acknowledgement."""

    chunk: Any = None


class Buffer:
    """Takes rows like a batcher. `done` is called with the messages of rows that are safe: on disk or written."""

    def __init__(self, directory: Path, batcher: Batcher, done: Done) -> None:
        self.action = batcher.action
        self.spool = Spool(directory, self.action.max_buffer_bytes)
        self.batcher = batcher
        batcher.done = self.done
        self._done = done
        self._spilling: list[Item] = []  # on their way to disk
        self._reading: deque[Chunk] = deque()
        self._lock = asyncio.Lock()  # the spool is used by one thread at a time
        self._overflows = False  # rows go to disk although the action does not ask for it
        self._spill_due, self._moved = asyncio.Event(), asyncio.Event()
        self._moved.set()

    def enriched(self, items: list[Item]) -> list[Item]:
        """The items with what the action needs to know besides what its rule selects."""
        return self.batcher.enriched(items)

    def add(self, items: list[Item], size: int) -> None:
        """Take items with so many bytes of payload."""
        if self._overflows and not (self.batcher.holding or self.spool.unread or self._spilling):
            self._overflows = False
        to_disk = self.action.buffer_mode == "disk" or self._overflows
        if not to_disk or (self._keeps_up() and not self._spilling):
            self.batcher.add(items, size)
        else:
            self._spilling += items
            self._spill_due.set()

    def overflow(self) -> None:
        """Put on disk what waits in memory beyond a few batches, and what comes until those rows are in."""
        self._overflows = True
        if surplus := self.batcher.surplus(PASSING):
            self._spilling = surplus + self._spilling
            self._spill_due.set()

    def _keeps_up(self) -> bool:
        """Whether rows need not go to disk: none waits there, and few in memory."""
        return not self.spool.unread and self.batcher.trouble is None and not self._waits()

    def done(self, messages: Sequence[Message]) -> None:
        """Rows that the batcher is finished with."""
        live = [message for message in messages if message.__class__ is not Stored]
        if len(live) < len(messages):
            for message in messages:
                if isinstance(message, Stored):
                    message.chunk.left -= 1
        self._moved.set()
        if live:
            self._done(live)

    def held(self) -> list[Message]:
        """Messages that are not on disk yet."""
        return [message for _, message in self._spilling]

    def update(self, action: Action) -> None:
        """Other limits; without a buffer from now on, what is on disk is still written."""
        self.action = action
        self.spool.limit = action.max_buffer_bytes

    async def inherit(self, directory: Path) -> bool:
        """Take some of the rows that a buffer left in a directory, behind those that are here; whether any could be.
        Raises OSError.
        """
        came, lost, left = await self._locked(self.spool.absorb, directory, PORTION, PORTION_BYTES, TURN)
        self.batcher.metrics.received += lost
        self.batcher.metrics.dropped["damaged"] += lost
        self._gauge()
        self._moved.set()
        return bool(came or lost or not left)

    async def drained(self) -> None:
        """Return when nothing is here, on disk or on the way."""
        while self._spilling or self.spool.rows:
            await asyncio.sleep(DRAIN_POLL)

    def remove(self) -> None:
        """Leave nothing on disk."""
        shutil.rmtree(self.spool.directory, ignore_errors=True)

    async def run(self) -> None:
        """Write and read until cancelled."""
        spilling, reading = asyncio.create_task(self._spill()), asyncio.create_task(self._read())
        try:
            await asyncio.gather(spilling, reading)
        finally:
            spilling.cancel()
            reading.cancel()
            await asyncio.gather(spilling, reading, return_exceptions=True)
            self.spool.close()

    # To disk

    async def _spill(self) -> None:
        while True:
            await self._spill_due.wait()
            self._spill_due.clear()
            while self._spilling:
                if self._keeps_up():
                    items, self._spilling = self._spilling, []
                    self.batcher.add(items, sum(len(message.payload) for _, message in items))
                elif not await self._spill_some():
                    await self._pause()

    async def _pause(self) -> None:
        """Wait before the disk is tried again. QoS 0 messages do not wait with the others: they would stop the reading,
        and the broker would lose those behind them, which nobody counts.
        """
        self._let_go()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PAUSE):
                while True:
                    self._spill_due.clear()
                    await self._spill_due.wait()
                    self._let_go()

    def _let_go(self) -> None:
        lost = [message for _, message in self._spilling if message.fleeting]
        if lost:
            self._spilling = [item for item in self._spilling if not item[1].fleeting]
            self.batcher.metrics.received += len(lost)
            self.batcher.metrics.dropped["queue_full"] += len(lost)
            self._done(lost)

    async def _spill_some(self) -> bool:
        """Put the next portion on disk, or make room; False where it is to be tried again later."""
        items = self._spilling[:PORTION]
        records = [_encoded(item) for item in items]
        good = [item for item, record in zip(items, records, strict=True) if record]
        self._spilling[: len(items)] = good
        if len(good) < len(items):
            self.batcher.metrics.received += len(items) - len(good)
            await self.batcher.reject([(*i, NO_RECORD) for i, r in zip(items, records, strict=True) if not r])
        try:
            kept = await self._locked(self.spool.append, [record for record in records if record])
        except OSError as error:
            self._say(f"the buffer on disk takes nothing: {error}")
            return False
        del self._spilling[:kept]
        self._done([message for _, message in good[:kept]])
        self._gauge()
        self._moved.set()
        return kept == len(good) or await self._make_room()

    async def _make_room(self) -> bool:
        if self.action.buffer_full != "drop_oldest":
            self._say("the buffer is full: the broker keeps what comes")
            return False
        lost = await self._locked(self.spool.drop_oldest)
        self.batcher.metrics.received += lost
        self.batcher.metrics.dropped["queue_full"] += lost
        self._say("the buffer is full: its oldest rows are dropped")
        return True

    # From disk

    async def _read(self) -> None:
        while True:
            await self._moved.wait()
            self._moved.clear()
            while self._reading and not self._reading[0].left:
                await self._locked(self.spool.give_up, self._reading.popleft().end)
                self._gauge()
            if self.spool.unread and len(self._reading) < PASSING and not self._waits():
                await self._read_some()
                self._moved.set()

    def _waits(self) -> bool:
        """Whether the batcher has enough."""
        return len(self.batcher.waiting) >= PASSING * self.batcher.action.batch_size

    async def _read_some(self) -> None:
        try:
            first, records = await self._locked(self.spool.take, PORTION, PORTION_BYTES)
        except Damaged as damage:
            lost = await self._locked(self.spool.skip_damaged)
            self.batcher.metrics.received += lost
            self.batcher.metrics.dropped["damaged"] += lost
            self._reading.append(Chunk(self.spool.end - self.spool.unread, 0))
            self._say(f"{lost} rows on disk are lost: {damage}")
            self._gauge()
            return
        except OSError as error:
            self._say(f"the buffer on disk cannot be read: {error}")
            await asyncio.sleep(PAUSE)
            return
        chunk = Chunk(first + len(records), len(records))
        self._reading.append(chunk)
        items = [_decoded(record, chunk) for record in records]
        self.batcher.add(items, sum(len(message.payload) for _, message in items))
        self._gauge()

    # Inside

    async def _locked(self, do: Callable[..., Any], *arguments: Any) -> Any:
        async with self._lock:
            doing = asyncio.ensure_future(asyncio.to_thread(do, *arguments))
            try:
                return await asyncio.shield(doing)
            except asyncio.CancelledError:  # the thread goes on, and nobody is to open the files beside it
                await asyncio.wait({doing})
                raise

    def _gauge(self) -> None:
        self.batcher.metrics.buffered = self.spool.unread
        self.batcher.metrics.buffered_bytes = self.spool.size

    def _say(self, trouble: str) -> None:
        """The action's last error; it is not the database's."""
        metrics = self.batcher.metrics
        metrics.last_error, metrics.last_error_at = trouble, int(time.time() * 1000)


def _encoded(item: Item) -> bytes:
    """The row as a record; empty where it has none, such as a whole number of more than 64 bits."""
    output, message = item
    if deep(output, LEVELS):
        return b""
    try:
        return msgspec.msgpack.encode((output, message.topic, message.payload, message.timestamp, message.details()))
    except Exception:  # whatever it was: the row becomes a letter
        return b""


def _decoded(record: bytes, chunk: Chunk) -> Item:
    output, topic, payload, timestamp, details = msgspec.msgpack.decode(record)
    message = Stored(topic, payload, 0, timestamp, known=details)
    message.chunk = chunk
    return output, message
