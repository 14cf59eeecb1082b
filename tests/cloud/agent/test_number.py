"""Another number of processes while messages come: none is missed, and none is there twice."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from cloud.brokers.test_broker import Device
from servers import START_SECONDS, PostgreSQL, free_port
from tieline.agent.brokers.settings import Listener, Settings
from tieline.agent.protocol import Configure
from tieline.agent.worker import Worker
from tieline.integration.config import shapes as config
from tieline.integration.delivery.dead_letters import DeadLetters
from tieline.integration.worker.workers import estates

PAUSE = 0.002  # seconds between two messages


def wanted(database: PostgreSQL, port: int, version: int, workers: int) -> Configure:
    """Rows as they come, rows in their order, a rule that fails, and one that reads other topics as well."""
    resource = config.PostgreSQL(
        id="pg",
        server=database.server,
        database=database.database,
        username=database.user,
        password=database.password,
    )

    def into(name: str, window: int = 100) -> config.Sql:
        sql = f"insert into seen(rule, n) values ('{name}', ${{n}})"
        return config.Sql(id=name, resource="pg", sql=sql, inflight_window=window)

    rules = (
        config.Rule(id="r", sql='SELECT payload.n as n FROM "t/#"', actions=(into("any"), into("ordered", 1))),
        config.Rule(id="s", sql='SELECT payload.n as n FROM "t/odd"', actions=(into("odd"),)),
        config.Rule(id="o", sql='SELECT payload.n as n FROM "t/even"', actions=(into("even", 1),)),
        config.Rule(id="f", sql='SELECT 1 / payload.zero as n FROM "t/odd"', actions=(into("never"),)),
    )
    what = config.Config(version=version, resources=(resource,), rules=rules)
    return Configure(config=what, broker=Settings(mqtt=Listener(host="127.0.0.1", port=port)), workers=workers)


def publish(port: int, stop: threading.Event) -> int:
    """Publish numbers until the end; how many."""
    n = 0
    with Device(port) as device:
        while not stop.is_set():
            device.publish("t/odd" if n % 2 else "t/even", json.dumps({"n": n, "zero": 0}).encode())
            n += 1
            time.sleep(PAUSE)  # the rate of the device
    return n


async def configured(worker: Worker, what: Configure) -> None:
    await worker.configure(what)
    async with asyncio.timeout(START_SECONDS):
        while (report := await worker.report()).applied != what.config.version:
            await asyncio.sleep(0.02)
    assert not report.error


def rows(database: PostgreSQL) -> Counter[tuple[str, int]]:
    return Counter(database.execute("select rule, n from seen"))


@pytest.mark.world
async def test_another_number_of_processes_doubles_no_row(tmp_path: Path) -> None:
    port, stop = free_port(), threading.Event()
    with PostgreSQL() as database:
        database.execute("create table seen(rule text, n int)")
        worker = Worker(tmp_path, lambda: None)
        try:
            await configured(worker, wanted(database, port, 1, 1))
            publishing = asyncio.create_task(asyncio.to_thread(publish, port, stop))
            try:
                for version, workers in enumerate((2, 1, 2, 3, 1), 2):
                    await configured(worker, wanted(database, port, version, workers))
            finally:
                stop.set()
            count = await publishing
            odd, even = range(1, count, 2), range(0, count, 2)
            there = {"any": range(count), "ordered": range(count), "odd": odd, "even": even}
            expected = Counter((name, n) for name, those in there.items() for n in those)
            async with asyncio.timeout(START_SECONDS):
                while not rows(database) >= expected:
                    await asyncio.sleep(0.05)
            await worker.close()
            found = rows(database)
            assert found - expected == Counter()
        finally:
            stop.set()
            await worker.close()
    letters = [letter for place in estates(tmp_path / "integration") for letter in DeadLetters(place).list()]
    failed = Counter(json.loads(letter.message["payload"])["n"] for letter in letters)
    assert failed == Counter(odd)
