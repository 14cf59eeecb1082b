"""Whatever dies, every row arrives: the database, the integration itself, and the way between them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

from integration.world import flow
from servers import Mosquitto, PostgreSQL, wait_until
from tieline.integration.config import shapes as config
from tieline.integration.delivery.dead_letters import FILE
from tieline.integration.worker import pipeline as pipelines

pytestmark = pytest.mark.world

COUNT = 4000
RUNNER = Path(__file__).with_name("run_pipeline.py")


def missing_and_doubles(database: PostgreSQL, target: str, count: int) -> tuple[set[str], int]:
    found = Counter(flow.devices(database, target))
    return set(flow.wanted(count)) - set(found), sum(found.values()) - len(found)


async def publish_while(mosquitto: Mosquitto, database: PostgreSQL, target: str, fault: Callable[[], None]) -> None:
    """Publish COUNT messages, and let the fault happen after the first thousand rows."""
    publishing = asyncio.create_task(asyncio.to_thread(flow.publish, mosquitto, flow.numbered(COUNT)))
    await flow.eventually(lambda: len(flow.devices(database, target)) > 300, "first rows")
    await asyncio.to_thread(fault)
    await publishing


async def test_a_killed_database_loses_no_row(mosquitto: Mosquitto) -> None:
    with PostgreSQL() as database:
        target = flow.table(database)
        what = config.Config(resources=(flow.resource(database),), rules=(flow.rule(target),))
        async with flow.running(flow.broker(mosquitto), what) as pipeline:
            seen: list[str] = []

            def fault() -> None:
                database.kill()
                wait_until(lambda: pipeline.status()["resources"]["pg"]["status"] == "disconnected", "status")
                seen.append(pipeline.status()["resources"]["pg"]["hop"])
                database.start()

            await publish_while(mosquitto, database, target, fault)
            await flow.eventually(lambda: not missing_and_doubles(database, target, COUNT)[0], "every row")
            # A batch whose commit succeeded and whose answer was lost is written again: at most one batch.
            assert missing_and_doubles(database, target, COUNT)[1] <= 1000
            assert seen == ["tcp"]
            await flow.eventually(lambda: pipeline.status()["resources"]["pg"]["pending"] == 0, "acknowledged")
            await flow.eventually(
                lambda: pipeline.status()["resources"]["pg"]["status"] == "connected", "the good news"
            )


async def test_a_killed_integration_loses_no_row(mosquitto: Mosquitto, postgresql: PostgreSQL, tmp_path: Path) -> None:
    target = flow.table(postgresql)
    what = config.Config(resources=(flow.resource(postgresql),), rules=(flow.rule(target),))
    where = flow.broker(mosquitto)
    (tmp_path / "config.json").write_bytes(msgspec.json.encode({"broker": where, "config": what}))

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, str(RUNNER), str(tmp_path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    processes = [await asyncio.to_thread(start)]

    def fault() -> None:
        os.kill(processes[0].pid, signal.SIGKILL)
        processes[0].wait()
        processes.append(start())

    try:
        await publish_while(mosquitto, postgresql, target, fault)
        await flow.eventually(lambda: not missing_and_doubles(postgresql, target, COUNT)[0], "every row")
        # What was committed and not acknowledged at the moment of death comes again: at most what one commit held.
        assert missing_and_doubles(postgresql, target, COUNT)[1] <= 1000
    finally:
        for process in processes:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


async def test_a_lost_connection_to_the_broker_doubles_nothing(mosquitto: Mosquitto, postgresql: PostgreSQL) -> None:
    """Messages in hand are not taken again when the broker delivers them a second time."""
    target = flow.table(postgresql)
    what = config.Config(resources=(flow.resource(postgresql),), rules=(flow.rule(target),))
    async with flow.running(flow.broker(mosquitto), what) as pipeline:
        with psycopg.connect(postgresql.dsn) as holder:
            await asyncio.to_thread(holder.execute, f"lock table {target} in access exclusive mode".encode())
            await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(2000))
            lane = pipeline._stations["pg"].lane
            await flow.eventually(lambda: lane.pending == len(flow.wanted(2000)), "all messages in hand")
            writer = lane.session._writer
            assert writer is not None
            writer.transport.abort()
            await flow.eventually(
                lambda: lane.session.connected and lane.session._writer is not writer, "another connection"
            )
        await flow.eventually(lambda: not missing_and_doubles(postgresql, target, 2000)[0], "every row")
        await flow.eventually(lambda: lane.session.connected and lane.pending == 0, "acknowledged")
        await asyncio.sleep(0.3)
        assert missing_and_doubles(postgresql, target, 2000) == (set(), 0)


async def test_a_missing_table_is_waited_for(mosquitto: Mosquitto, postgresql: PostgreSQL) -> None:
    target = flow.unique("t")
    what = config.Config(resources=(flow.resource(postgresql),), rules=(flow.rule(target),))
    async with flow.running(flow.broker(mosquitto), what) as pipeline:
        await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(100))
        await flow.eventually(lambda: pipeline.status()["resources"]["pg"].get("hop") == "statement", "the reason")
        assert target in pipeline.status()["rules"]["r"]["reason"]
        postgresql.execute(f"create table {target}(device text, temp float8, ts bigint)")
        await flow.eventually(lambda: flow.devices(postgresql, target) == flow.wanted(100), "every row")
        await flow.eventually(lambda: pipeline.status()["resources"]["pg"]["status"] == "connected", "the good news")
        json.dumps(pipeline.status())


async def test_a_full_disk_holds_a_message_until_its_letter_is_kept(
    mosquitto: Mosquitto, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """One of two rules fails on a message, and its letter finds no room: the row of the other acknowledges nothing."""
    target, letters = flow.table(postgresql), tmp_path / FILE
    reading = 'SELECT payload.device as device, {} as temp, timestamp FROM "full/#"'
    rules = tuple(
        flow.rule(target, reading.format(temp), id=f"r{n}") for n, temp in enumerate(("1", "payload.temp + 1"))
    )
    what = config.Config(resources=(flow.resource(postgresql),), rules=rules)
    async with flow.running(flow.broker(mosquitto), what, tmp_path) as pipeline:
        letters.symlink_to("/dev/full")
        await asyncio.to_thread(flow.publish, mosquitto, [("full/1", {"device": "a", "temp": [1]})])
        await flow.eventually(lambda: bool(pipeline.status()["resources"]["pg"]["broker"]["reason"]), "the reason")
        letters.unlink()
        await flow.eventually(lambda: len(pipeline.dead_letters) == 1, "the letter")
        await flow.eventually(lambda: flow.devices(postgresql, target) == ["a"], "the row")
        assert pipeline.dead_letters.list()[0].rule == "r1"
        await flow.eventually(lambda: pipeline.status()["resources"]["pg"]["pending"] == 0, "acknowledged")
        assert [rule["matched"] for rule in pipeline.metrics()["rules"].values()] == [1, 1]
    assert len(letters.read_bytes().splitlines()) == 1


async def test_what_nobody_keeps_is_counted_or_told_where_it_is_lost(
    mosquitto: Mosquitto, postgresql: PostgreSQL, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """QoS 0: a message whose letter finds no room is gone with it, and so is one in hand at the end."""
    failing = 'SELECT payload.device as device, payload.temp + 1 as temp, timestamp FROM "gone/#"'
    rule = flow.rule(flow.unique("t"), failing)  # a table that is not there
    what = config.Config(version=1, resources=(flow.resource(postgresql),), rules=(rule,))
    async with flow.running(flow.broker(mosquitto), what, tmp_path) as pipeline:
        (tmp_path / FILE).symlink_to("/dev/full")
        await asyncio.to_thread(flow.publish, mosquitto, [("gone/1", {"temp": [1]})], 0)
        await flow.eventually(lambda: pipeline.metrics()["rules"]["r"]["failed.exception"] == 1, "the count")
        assert "QoS 0 is lost: a dead letter could not be kept" in pipeline.metrics()["rules"]["r"]["last_error"]
        assert pipeline.metrics()["rules"]["r"]["matched"] == 1
        (tmp_path / FILE).unlink()
        await flow.subscribed(pipeline)
        await asyncio.to_thread(flow.publish, mosquitto, [("gone/1", {"device": "a", "temp": n}) for n in range(3)], 0)
        await flow.eventually(lambda: pipeline.status()["resources"]["pg"]["pending"] == 3, "all in hand")
    assert "ends with 3 messages of QoS 0 in hand: they are lost" in caplog.text


def counted(pipeline: pipelines.Pipeline) -> dict[str, Any]:
    found: dict[str, Any] = pipeline.metrics()["actions"]["r"]["write"]
    return found


@pytest.mark.parametrize("mode", ["broker", "disk"])
async def test_a_rule_that_is_disabled_while_its_database_is_away_keeps_its_rows(
    mosquitto: Mosquitto, postgresql: PostgreSQL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """A pause is no order to throw rows away: they were taken before it, and some acknowledged from disk."""
    monkeypatch.setattr(pipelines, "SWEEP_SECONDS", 0.05)
    target, where = flow.unique("t"), flow.broker(mosquitto)  # a table that is not there yet
    action = msgspec.structs.replace(flow.rule(target).actions[0], buffer_mode=mode)
    rule = msgspec.structs.replace(flow.rule(target), actions=(action,))
    runs = config.Config(version=1, resources=(flow.resource(postgresql),), rules=(rule,))
    paused = msgspec.structs.replace(runs, version=2, rules=(msgspec.structs.replace(rule, enable=False),))
    async with flow.running(where, runs, tmp_path) as pipeline:
        waits = partial(counted, pipeline)
        await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(40))
        await flow.eventually(lambda: waits()["retried"] > 0, "a first try")
        await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(400)[40:])
        await flow.eventually(lambda: waits()["received"] == len(flow.wanted(400)), "all rows")
        await pipeline.apply(paused)
        await asyncio.sleep(0.3)  # a retired action would drop its rows now
        assert (waits()["dropped"], waits()["queuing"] + waits()["inflight"]) == (0, len(flow.wanted(400)))
        if mode == "disk":
            await flow.eventually(lambda: waits()["queuing_bytes"] > 0, "rows on disk")
    async with flow.running(where, paused, tmp_path) as pipeline:
        await asyncio.sleep(0.3)  # and what is swept from the disk would be gone
        await pipeline.apply(runs)
        postgresql.execute(f"create table {target}(device text, temp float8, ts bigint)")
        await flow.eventually(lambda: set(flow.devices(postgresql, target)) == set(flow.wanted(400)), "every row")
