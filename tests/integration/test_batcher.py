"""Every row of every batch is written once or buried, whatever the database refuses and however often it is away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.integration.config.shapes import Sql
from tieline.integration.delivery import batcher as batching
from tieline.integration.delivery.batcher import Batcher, Bury
from tieline.integration.messages.message import Message
from tieline.integration.sinks.base.failures import Rejected, Unavailable


class Table:
    """A database in memory: refuses some rows, naming them or not, is away now and then, and may take a part."""

    def __init__(self, poison: set[int], named: bool, away: list[bool], partial: bool) -> None:
        self.rows: list[int] = []
        self.poison, self.named, self.away, self.partial = poison, named, away, partial

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        await asyncio.sleep(0)
        numbers = [output["n"] for output in outputs]
        bad = {place: "poison" for place, number in enumerate(numbers) if number in self.poison}
        away = bool(self.away and self.away.pop())
        written: list[int] = []
        if self.partial and (away or bad):
            written = [place for place in range(0, len(numbers), 2) if place not in bad]
            self.rows += [numbers[place] for place in written]
        if away:
            raise Unavailable("tcp", "away", written=written)
        if bad:
            raise Rejected("poison", bad if self.named else None, written)
        self.rows += numbers


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 60),
    st.sets(st.integers(0, 59), max_size=8),
    st.booleans(),
    st.lists(st.booleans(), max_size=6),
    st.integers(1, 20),
    st.integers(1, 400),
    st.booleans(),
)
def test_each_row_is_written_once_or_buried(
    count: int, poison: set[int], named: bool, away: list[bool], batch_size: int, batch_bytes: int, partial: bool
) -> None:
    table = Table(poison, named, away, partial)
    buried: list[int] = []
    done: list[Message] = []

    async def run() -> None:
        action = Sql(id="a", resource="r", sql="x", batch_size=batch_size, batch_bytes=batch_bytes, batch_time=0)
        bury: Bury = lambda rows: buried.extend(output["n"] for output, _, _ in rows)  # noqa: E731
        one = Batcher(action, table, done.extend, bury, lambda: 0.0)
        task = asyncio.create_task(one.run())
        for number in range(count):
            one.add([({"n": number}, Message("t", b"x" * number))], number)
            if number % 7 == 0:
                await asyncio.sleep(0)
        await asyncio.wait_for(one.drained(), 60)
        assert not list(one.held())
        task.cancel()
        figures = one.measured().snapshot()
        assert figures["received"] == count == figures["success"] + figures["failed"]
        assert figures["queuing"] == figures["inflight"] == 0

    pauses = batching.FIRST_PAUSE, batching.LONGEST_PAUSE
    batching.FIRST_PAUSE, batching.LONGEST_PAUSE = 0.0, 0.0  # type: ignore[misc]
    try:
        asyncio.run(run())
    finally:
        batching.FIRST_PAUSE, batching.LONGEST_PAUSE = pauses  # type: ignore[misc]
    wanted = [n for n in range(count) if n not in poison]
    assert (sorted(table.rows) if partial else table.rows) == wanted
    assert sorted(buried) == [n for n in range(count) if n in poison]
    assert sorted(len(message.payload) for message in done) == list(range(count))
