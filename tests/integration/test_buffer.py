"""A buffer before a database that is away: rows are safe on disk, in order, across restarts, and bounded as chosen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import mqtt5
import pytest

from tieline.integration.config.shapes import Sql
from tieline.integration.delivery import batcher as batching
from tieline.integration.delivery import buffer as buffering
from tieline.integration.delivery.batcher import Batcher, Buried
from tieline.integration.delivery.buffer import Buffer
from tieline.integration.delivery.spool import SUFFIX
from tieline.integration.messages.message import Message
from tieline.integration.sinks.base.failures import Rejected, Unavailable

NOW = 1_000.0


class Table:
    """A database that is away while told so, and refuses one number."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.away = True

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("tcp", "away")
        numbers = [output["n"] for output in outputs]
        if -1 in numbers:
            raise Rejected("poison", {numbers.index(-1): "poison"})
        self.rows += numbers


class Way:
    """A batcher with a buffer, and what they are finished with."""

    def __init__(self, directory: Path, table: Table, **options: Any) -> None:
        action = Sql(id="a", resource="r", sql="x", batch_size=10, batch_time=0, buffer_mode="disk", **options)
        self.acknowledged: list[Message] = []
        self.buried: list[Any] = []
        self.batcher = Batcher(action, table, self.acknowledged.extend, self._bury, lambda: NOW)
        self.buffer = Buffer(directory, self.batcher, self.acknowledged.extend)

    def _bury(self, rows: Sequence[Buried]) -> None:
        self.buried += [output["n"] for output, _, _ in rows]

    def add(self, numbers: Sequence[int], time: float = NOW) -> None:
        self.buffer.add([({"n": n}, Message("t", b"x" * 50, 1, int(time * 1000))) for n in numbers], 50 * len(numbers))

    def figures(self) -> dict[str, Any]:
        return self.batcher.measured().snapshot()


@asynccontextmanager
async def way(directory: Path, table: Table, **options: Any) -> AsyncIterator[Way]:
    one = Way(directory, table, **options)
    tasks = [asyncio.create_task(one.buffer.run()), asyncio.create_task(one.batcher.run())]
    try:
        yield one
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(batching, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(buffering, "PAUSE", 0.01)


async def until(true: Any) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.005)


async def test_rows_of_a_database_that_is_away_are_acknowledged_and_come_in_order(tmp_path: Path) -> None:
    table = Table()
    async with way(tmp_path, table) as one:
        one.add(range(200))  # more than are read from disk ahead of the batcher
        await until(lambda: one.batcher.trouble is not None)
        for start in range(200, 5000, 20):
            one.add(range(start, start + 20))
        await until(lambda: len(one.acknowledged) == 4800)  # the first are in memory, and not safe
        assert one.figures()["queuing"] + one.figures()["inflight"] == 5000 == one.figures()["received"]
        assert one.figures()["queuing_bytes"] > 4800 * 50
        table.away = False
        await until(lambda: len(table.rows) == 5000)
        one.add(range(5000, 5020))
        await until(lambda: len(table.rows) == 5020 and not one.buffer.spool.rows)
        assert table.rows == list(range(5020))
        assert len(one.acknowledged) == 5020 == len(set(map(id, one.acknowledged)))
        assert one.figures()["success"] == one.figures()["received"] == 5020


async def test_what_is_on_disk_outlives_the_process_and_poison_is_found_in_it(tmp_path: Path) -> None:
    table = Table()
    async with way(tmp_path, table) as one:
        one.add([0])
        await until(lambda: one.batcher.trouble is not None)
        one.add([*range(1, 50), -1, *range(50, 100)])
        one.add([2**70])
        await until(lambda: len(one.acknowledged) == 101)
        assert one.buried == [2**70]
    table.away = False
    async with way(tmp_path, table) as one:
        await until(lambda: len(table.rows) == 99 and not one.buffer.spool.rows)
        assert table.rows == list(range(1, 100)) and one.buried == [-1]
        assert one.acknowledged == []  # the broker has had them


async def test_a_full_buffer_waits(tmp_path: Path) -> None:
    table = Table()
    async with way(tmp_path, table, max_buffer_bytes=20_000) as one:
        one.add([0])
        await until(lambda: one.batcher.trouble is not None)
        one.add(range(1, 1001))
        await until(lambda: "full" in one.figures()["last_error"])
        assert 0 < len(one.acknowledged) < 1000 and one.buffer.spool.size <= 20_000
        table.away = False
        await until(lambda: len(table.rows) == 1001)
        assert table.rows == list(range(1001)) and one.figures()["dropped"] == 0


@pytest.mark.parametrize("cause", ["limit", "disk"])
async def test_what_the_broker_does_not_keep_is_dropped_and_counted_when_it_meets_a_full_buffer(
    tmp_path: Path, cause: str
) -> None:
    table = Table()
    async with way(tmp_path, table, max_buffer_bytes=20_000) as one:
        one.add([0])
        await until(lambda: one.batcher.trouble is not None)
        if cause == "limit":
            one.add(range(1, 1001))
            await until(lambda: "full" in one.figures()["last_error"])
        else:
            (tmp_path / f"{0:020}{SUFFIX}").symlink_to("/dev/full")
            one.add(range(1, 1001))
            await until(lambda: "takes nothing" in one.figures()["last_error"])
        kept = len(one.acknowledged)
        fleeting = [Message("t", b"x", 0, int(NOW * 1000), mqtt5.PublishPacket("t", b"x")) for _ in range(5)]
        demoted = Message(
            "t", b"x", 0, int(NOW * 1000), mqtt5.PublishPacket("t", b"x", packet_id=7, qos=mqtt5.QoS.AT_LEAST_ONCE)
        )
        one.buffer.add([({"n": 5000}, message) for message in fleeting] + [({"n": 1001}, demoted)], 6)
        await until(lambda: one.figures().get("dropped.queue_full") == 5)
        assert one.acknowledged[kept:] == fleeting
        assert one.buffer.held()[-1] is demoted  # the broker has lost its session: nobody else has it
        if cause == "disk":
            (tmp_path / f"{0:020}{SUFFIX}").unlink()
        table.away = False
        await until(lambda: len(table.rows) == 1002)
        assert table.rows == list(range(1002))
        assert one.figures()["received"] == 1007 == one.figures()["success"] + one.figures()["dropped"]


async def test_a_full_buffer_drops_its_oldest_rows_where_that_is_chosen(tmp_path: Path) -> None:
    table = Table()
    async with way(tmp_path, table, max_buffer_bytes=20_000, buffer_full="drop_oldest") as one:
        one.add([0])
        await until(lambda: one.batcher.trouble is not None)
        one.add(range(1, 1001))
        await until(lambda: len(one.acknowledged) == 1000)
        dropped = one.figures()["dropped.queue_full"]
        assert 500 < dropped < 1000
        table.away = False
        await until(lambda: len(table.rows) == 1001 - dropped)
        assert table.rows == sorted(table.rows) and table.rows[-1] == 1000
        figures = one.figures()
        assert figures["received"] == 1001 == figures["success"] + figures["dropped"]


async def test_rows_that_became_too_old_are_dropped_and_counted(tmp_path: Path) -> None:
    table = Table()
    async with way(tmp_path, table, request_ttl=60.0) as one:
        one.add(range(5), NOW - 100)
        one.add(range(5, 10))
        await until(lambda: one.figures().get("dropped.expired") == 5)
        table.away = False
        await until(lambda: table.rows == list(range(5, 10)))
        assert one.figures()["received"] == 10 and len(one.acknowledged) == 10


async def test_rows_that_are_damaged_on_disk_are_counted_and_hold_up_no_others(tmp_path: Path) -> None:
    table = Table()
    async with way(tmp_path, table) as one:
        one.add([0])
        await until(lambda: one.batcher.trouble is not None)
        one.add(range(1, 101))
        await until(lambda: len(one.acknowledged) == 100)
    file = next(tmp_path.glob(f"*{SUFFIX}"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    async with way(tmp_path, table) as one:
        file.write_bytes(content)  # while it is in use
        await asyncio.sleep(0)
        table.away = False
        await until(lambda: one.figures().get("dropped.damaged", 0) > 0)
        one.add(range(200, 210))
        await until(lambda: table.rows[-10:] == list(range(200, 210)) and not one.buffer.spool.rows)
        figures = one.figures()
        assert len(table.rows) + figures["dropped.damaged"] == 110
        assert figures["received"] == 110 == figures["success"] + figures["dropped"]
        assert "lost" in figures["last_error"]


async def test_a_disk_that_takes_no_note_of_what_is_done_holds_up_no_row(tmp_path: Path) -> None:
    table = Table()
    async with way(tmp_path, table) as one:
        (tmp_path / "front.new").symlink_to("/dev/full")
        for start in (0, 100):  # two outages: the first must not end what reads from disk
            table.away = True
            one.add([start])
            await until(lambda: one.batcher.trouble is not None)
            one.add(range(start + 1, start + 100))
            await until(lambda: one.buffer.spool.rows == 99)
            table.away = False
            await until(lambda: not one.buffer.spool.rows and not one.batcher.busy)
            assert table.rows == list(range(start + 100))
