"""Rows on their way through a batcher, and a way that breaks, for the tests of every kind that takes messages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from servers import Server
from tieline.integration.delivery.batcher import Batcher, Buried
from tieline.integration.messages.message import Message
from tieline.integration.sinks import Action, Resource, open_sink

SECONDS = 60.0


class Way:
    """One action's way into a resource, and what was buried on it, each with its error."""

    def __init__(self, resource: Resource, action: Action) -> None:
        self.buried: list[tuple[dict[str, Any], str]] = []
        self.done = 0
        self._added = 0
        self.sink = open_sink(resource)
        self.batcher = Batcher(action, self.sink.writer(action), self._finish, self._bury, time.time)
        self._running = asyncio.create_task(self.batcher.run())

    def _finish(self, messages: Sequence[Message]) -> None:
        self.done += len(messages)

    def _bury(self, rows: Sequence[Buried]) -> None:
        self.buried += [(output, error) for output, _, error in rows]

    def add(self, *outputs: dict[str, Any]) -> None:
        """Send rows on their way."""
        self._added += len(outputs)
        self.batcher.add([(output, Message("t", timestamp=int(time.time() * 1000))) for output in outputs], 0)

    async def until(self, true: Callable[[], bool], what: str) -> None:
        """Wait until it is true; fails naming `what` and the trouble on the way."""
        deadline = time.monotonic() + SECONDS
        while not true():
            trouble = self.batcher.trouble
            assert time.monotonic() < deadline, f"{what}: {trouble and (trouble.hop, trouble.message, trouble.cause)}"
            await asyncio.sleep(0.01)

    async def drained(self) -> None:
        """Wait until every row is in or buried."""
        await self.until(lambda: self.done == self._added, "the rows are in")

    async def close(self) -> None:
        self._running.cancel()
        await self.sink.close()


@asynccontextmanager
async def way(resource: Resource, action: Action) -> AsyncIterator[Way]:
    """A way that is closed again."""
    made = Way(resource, action)
    try:
        yield made
    finally:
        await made.close()


async def write(resource: Resource, action: Action, *outputs: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Write rows; returns those that were buried, each with its error."""
    async with way(resource, action) as one:
        one.add(*outputs)
        await one.drained()
        return one.buried


async def outlive(
    server: Server,
    resource: Resource,
    action: Action,
    rows: Sequence[dict[str, Any]],
    end: Callable[[], None] | None = None,
) -> None:
    """Write rows while the server ends in their midst, killed unless another end is given, and comes back; all of them
    are in by the action's word.
    """
    half = len(rows) // 2
    async with way(resource, action) as one:
        one.add(*rows[:half])
        await one.until(lambda: one.done > 0, "the first rows are in")
        await asyncio.to_thread(end or server.kill)
        one.add(*rows[half:])
        await one.until(lambda: one.batcher.trouble is not None, "the writes fail")
        assert one.done < len(rows)
        await asyncio.to_thread(server.start)
        await one.until(lambda: one.done == len(rows), "every row is in")
        assert not one.buried
