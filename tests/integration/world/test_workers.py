"""Several processes share the messages; one that is killed comes back, one that is dismissed leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from integration.world import flow
from servers import START_SECONDS, Mosquitto, PostgreSQL
from tieline.integration.config import shapes as config
from tieline.integration.delivery.dead_letters import FILE
from tieline.integration.worker import messages
from tieline.integration.worker import process as worker_process
from tieline.integration.worker.workers import NotApplied, Workers

pytestmark = pytest.mark.world


@asynccontextmanager
async def working(where: config.Broker, what: config.Config, directory: Path) -> AsyncIterator[Workers]:
    workers = Workers(where, what, directory, count=2)
    task = asyncio.create_task(workers.run())
    try:
        await asyncio.sleep(0)  # it starts its processes
        assert len(workers._workers) == 2
        await flow.subscribed(workers)
        yield workers
    finally:
        await workers.close(0.5)
        await task


async def test_two_processes_share_the_messages_and_one_is_killed(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    target = flow.table(postgresql)
    what = config.Config(version=1, resources=(flow.resource(postgresql),), rules=(flow.rule(target),))
    async with working(flow.broker(mosquitto), what, tmp_path) as workers:
        publishing = asyncio.create_task(asyncio.to_thread(flow.publish, mosquitto, flow.numbered(4000)))
        await flow.eventually(lambda: len(flow.devices(postgresql, target)) > 300, "first rows")

        def shares() -> list[int]:
            return [worker.counted()["rules"].get("r", {}).get("matched", 0) for worker in workers._workers]

        await flow.eventually(lambda: min(shares()) > 0, "both work")
        os.kill(workers._workers[0].pid, signal.SIGKILL)
        await publishing
        await flow.eventually(lambda: set(flow.devices(postgresql, target)) == set(flow.wanted(4000)), "every row")
        doubles = sum(count - 1 for count in Counter(flow.devices(postgresql, target)).values())
        assert doubles <= 1000  # what the killed process had committed and not acknowledged
        await flow.subscribed(workers)
        await flow.eventually(lambda: workers.status()["resources"]["pg"]["status"] == "connected", "status")
        assert workers.metrics()["actions"]["r"]["write"]["success"] > 0


async def test_a_process_that_cannot_start_is_said_and_holds_nobody_up(mosquitto: Mosquitto, tmp_path: Path) -> None:
    (tmp_path / "worker-1").write_text("")  # a file where the second process needs its directory
    rule = config.Rule(id="r", sql=flow.SQL, actions=(config.Republish(id="say", topic="out"),))
    what = config.Config(version=1, rules=(rule,))
    workers = Workers(flow.broker(mosquitto), config.Config(), tmp_path, count=2)
    task = asyncio.create_task(workers.run())
    try:
        await asyncio.sleep(0)
        assert len(workers._workers) == 2
        assert workers.status()["rules"] == {}
        async with asyncio.timeout(START_SECONDS):
            with pytest.raises(NotApplied, match=r"worker process 2 of 2: \d processes ended .* exit status 1"):
                await workers.apply(what)
        assert "exit status 1" in workers.status()["rules"]["r"]["reason"]
        (tmp_path / "worker-1").unlink()
        await flow.subscribed(workers)
        assert workers.status()["rules"] == {"r": {"status": "running"}}  # and right away, not with its next report
    finally:
        await workers.close(0.5)
        await task


async def test_letters_of_all_processes_and_a_smaller_number_of_them(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    target = flow.table(postgresql, "device text, temp float8 check (temp < 100), ts bigint")
    what = config.Config(version=1, resources=(flow.resource(postgresql),), rules=(flow.rule(target),))
    async with working(flow.broker(mosquitto), what, tmp_path) as workers:
        hot = [("sensors/1", {"device": f"h{n}", "temp": 200}) for n in range(20)]
        await asyncio.to_thread(flow.publish, mosquitto, hot)
        await flow.eventually(lambda: workers.metrics()["dead_letters"].get("count") == 20, "letters")
        ids = [letter.id for letter in (await workers.perform(messages.Letters(id=0))).letters]
        assert len(ids) == 20
        await flow.eventually(lambda: in_hand(workers) == (0, 20), "nothing in hand but letters")
        killed = workers._workers[0].pid
        os.kill(killed, signal.SIGKILL)
        await flow.eventually(lambda: workers._workers[0].pid != killed, "the end of one")
        await flow.subscribed(workers)
        assert in_hand(workers) == (0, 20)
        postgresql.execute(f"alter table {target} drop constraint {target}_temp_check")
        assert set((await workers.perform(messages.Replay(id=0, ids=tuple(ids)))).replayed.values()) == {""}
        await flow.eventually(lambda: len(flow.devices(postgresql, target)) == 20, "rows")
        publishing = asyncio.create_task(asyncio.to_thread(flow.publish, mosquitto, flow.numbered(3000)))
        await flow.eventually(lambda: len(flow.devices(postgresql, target)) > 200, "more rows")
        await workers.resize(1)
        await publishing
        expected = sorted([*flow.wanted(3000), *(f"h{n}" for n in range(20))])
        await flow.eventually(lambda: flow.devices(postgresql, target) == expected, "every row once")
        done = len(expected)
        await flow.eventually(
            lambda: workers.metrics()["actions"]["r"]["write"]["success"] == done, "the counts of both"
        )


async def test_two_resources_both_hear_every_message(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Processes share the messages of a resource, resources do not share them with each other."""
    tables = [flow.table(postgresql), flow.table(postgresql)]
    resources = tuple(flow.resource(postgresql, id=f"pg{n}") for n in range(2))
    rules = tuple(
        config.Rule(
            id=f"r{n}",
            sql=flow.SQL,
            actions=(config.Sql(id="write", resource=f"pg{n}", sql=flow.INSERT.format(table=target)),),
        )
        for n, target in enumerate(tables)
    )
    what = config.Config(version=1, resources=resources, rules=rules)
    async with working(flow.broker(mosquitto), what, tmp_path):
        await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(2000))
        for target in tables:
            await flow.eventually(partial(arrived, postgresql, target), "every row once")


async def test_the_processes_of_two_agents_that_share_a_broker_share_its_messages(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    target = flow.table(postgresql)
    ordered = config.Sql(id="ordered", resource="pg", sql=flow.INSERT.format(table=target), inflight_window=1)
    rule = config.Rule(id="o", sql=flow.SQL, actions=(ordered,))
    what = config.Config(version=1, resources=(flow.resource(postgresql),), rules=(flow.rule(target), rule))
    group = flow.unique("group")
    async with (
        working(flow.broker(mosquitto, share=group), what, tmp_path / "one"),
        working(flow.broker(mosquitto, share=group), what, tmp_path / "other"),
    ):
        await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(2000))
        expected = sorted(flow.wanted(2000) * 2)  # of each rule once
        await flow.eventually(lambda: len(flow.devices(postgresql, target)) >= len(expected), "every row")
        assert flow.devices(postgresql, target) == expected


async def test_one_process_takes_all_where_the_order_is_to_be_kept(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    ordered, mixed = (flow.table(postgresql, "number bigserial, device text, n int") for _ in range(2))
    insert = "insert into {}(device, n) values (${{device}}, ${{n}})"
    actions = (
        config.Sql(id="in order", resource="pg", sql=insert.format(ordered), inflight_window=1),
        config.Sql(id="as it comes", resource="pg", sql=insert.format(mixed)),
    )
    sql = 'SELECT topic as device, payload.n as n FROM "o/#"'
    rule = config.Rule(id="r", sql=sql, actions=actions)
    what = config.Config(version=1, resources=(flow.resource(postgresql),), rules=(rule,))
    async with working(flow.broker(mosquitto), what, tmp_path) as workers:
        messages = [(f"o/{n % 5}", {"n": n}) for n in range(5000)]
        await asyncio.to_thread(flow.publish, mosquitto, messages)
        for target in (ordered, mixed):
            await flow.eventually(partial(rows, postgresql, target, 5000), "every row")
        for device in range(5):
            found = postgresql.execute(f"select n from {ordered} where device = 'o/{device}' order by number")
            assert [row[0] for row in found] == list(range(device, 5000, 5))

        def written(action: str) -> list[int]:
            parts = [worker.counted()["actions"]["r"] for worker in workers._workers]
            return [part.get(action, {}).get("success", 0) for part in parts]

        await flow.eventually(lambda: written("in order") == [5000, 0], "all of them by the first process")
        await flow.eventually(lambda: sum(written("as it comes")) == 5000, "all of them by both")
        assert min(written("as it comes")) > 0
        assert workers.metrics()["rules"]["r"]["matched"] == 5000
        await flow.eventually(lambda: workers.status()["resources"]["pg"]["status"] == "connected", "status")


def in_hand(workers: Workers) -> tuple[int, int]:
    """Rows that were received and are neither in nor in the dead letters, and how many of these there are."""
    counted = workers.metrics()
    action = counted["actions"]["r"]["write"]
    assert action["received"] - action["success"] - action["failed"] == action["queuing"] + action["inflight"]
    return action["queuing"] + action["inflight"], counted["dead_letters"]["count"]


def rows(database: PostgreSQL, target: str, count: int) -> bool:
    return len(database.execute(f"select n from {target}")) == count


def arrived(database: PostgreSQL, target: str) -> bool:
    return flow.devices(database, target) == flow.wanted(2000)


async def test_what_a_dismissed_process_cannot_write_waits_at_the_broker(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "DISMISS_SECONDS", 1.0)
    target = flow.unique("t")  # a table that is not there yet
    what = config.Config(version=1, resources=(flow.resource(postgresql),), rules=(flow.rule(target),))
    async with working(flow.broker(mosquitto), what, tmp_path) as workers:
        await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(2000))

        def pending() -> list[int]:
            return [one.state.status["resources"]["pg"].get("pending", 0) for one in workers._workers if one.state]

        await flow.eventually(lambda: sum(pending()) == len(flow.wanted(2000)) and min(pending()) > 0, "all in hand")
        await workers.resize(1)
        postgresql.execute(f"create table {target}(device text, temp float8, ts bigint)")
        await flow.eventually(lambda: bool(flow.devices(postgresql, target)), "the rows of the first process")
        await workers.resize(2)
        await flow.eventually(lambda: set(flow.devices(postgresql, target)) == set(flow.wanted(2000)), "every row")


async def test_those_that_stay_take_over_letters_and_rows_on_disk(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "DISMISS_SECONDS", 1.0)
    target, later = flow.table(postgresql, "device text, temp float8 check (temp < 100), ts bigint"), flow.unique("t")
    away = config.Sql(id="late", resource="away", sql=flow.INSERT.format(table=later), buffer_mode="disk")
    rules = (flow.rule(target, flow.SQL.replace("sensors", "hot")), config.Rule(id="s", sql=flow.SQL, actions=(away,)))
    resources = (flow.resource(postgresql), flow.resource(postgresql, id="away"))
    what = config.Config(version=1, resources=resources, rules=rules)

    def rows() -> set[str]:
        return set(flow.devices(postgresql, later))

    async with working(flow.broker(mosquitto), what, tmp_path) as workers:

        def figures() -> list[dict[str, Any]]:
            return [worker.counted()["actions"]["s"]["late"] for worker in workers._workers]

        hot = [("hot/1", {"device": f"h{n}", "temp": 200}) for n in range(20)]
        await asyncio.to_thread(flow.publish, mosquitto, hot)
        await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(40))
        await flow.eventually(lambda: min(one["retried"] for one in figures()) > 0, "both know that it is away")
        await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(4000)[40:])
        await flow.eventually(lambda: sum(one["received"] for one in figures()) == len(flow.wanted(4000)), "all rows")
        await flow.eventually(lambda: min(letters(tmp_path)) > 0 and sum(letters(tmp_path)) == 20, "letters of both")
        assert min(one["queuing_bytes"] for one in figures()) > 0
        await workers.resize(1)
        await flow.eventually(lambda: letters(tmp_path) == [20, 0], "all letters in one place")
        ids = [one.id for one in (await workers.perform(messages.Letters(id=0))).letters]
        assert len(ids) == 20
        postgresql.execute(f"alter table {target} drop constraint {target}_temp_check")
        assert set((await workers.perform(messages.Replay(id=0, ids=tuple(ids)))).replayed.values()) == {""}
        await flow.eventually(lambda: len(flow.devices(postgresql, target)) == 20, "the rows of letters")
        postgresql.execute(f"create table {later}(device text, temp float8, ts bigint)")
        few = len(flow.wanted(40))  # may have been in the memory of the process that went
        await flow.eventually(lambda: len(rows()) >= len(flow.wanted(4000)) - few, "the rows on disk")
        await workers.resize(2)
        await flow.eventually(lambda: rows() == set(flow.wanted(4000)), "every row")
        assert sorted(flow.devices(postgresql, later)) == flow.wanted(4000)


def letters(directory: Path) -> list[int]:
    """How many each process has on disk."""
    files = [directory / f"worker-{number}" / FILE for number in range(2)]
    return [len(file.read_bytes().splitlines()) if file.exists() else 0 for file in files]
