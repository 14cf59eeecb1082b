"""From a real broker into real databases that die and come back: every row arrives, and the status tells the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from databases import ClickHouse, InfluxDB, MariaDB, Redis
from integration.sinks import test_clickhouse, test_influxdb, test_mysql, test_redis
from integration.world import flow
from servers import Mosquitto
from tieline.integration.config.shapes import Action, Config, Resource, Rule
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world

COUNT = 2000


@dataclass(frozen=True)
class Case:
    """A database, what is done with it, and the devices that it has."""

    server: Any
    resource: Resource
    action: Action
    devices: Callable[[], list[str]]


def mysql(server: MariaDB) -> Case:
    server.execute("create table t(device varchar(50) primary key, temp double)")
    sql = "insert into t(device, temp) values (${device}, ${temp}) on duplicate key update temp = values(temp)"
    return Case(
        server,
        test_mysql.resource(server),
        test_mysql.action(sql),
        lambda: [row[0] for row in server.execute("select device from t")],
    )


def redis(server: Redis) -> Case:
    template = "HSET device:${device} temp ${temp}"
    return Case(
        server,
        test_redis.resource(server),
        test_redis.action(template),
        lambda: [key.removeprefix("device:") for key in server.execute("KEYS", "device:*")],
    )


def influxdb(server: InfluxDB) -> Case:
    return Case(
        server,
        test_influxdb.resource(server),
        test_influxdb.action("m,device=${device} temp=${temp} ${timestamp}"),
        lambda: [row["device"] for row in server.execute("select count(temp) from m group by device")],
    )


def clickhouse(server: ClickHouse) -> Case:
    server.execute("create table t(device String, temp Float64) engine = MergeTree() order by device")
    return Case(
        server,
        test_clickhouse.resource(server),
        test_clickhouse.action("insert into t(device, temp) values (${device}, ${temp})"),
        lambda: [row[0] for row in server.execute("select distinct device from t")],
    )


def _name(parameter: tuple[type, Callable[..., Case]]) -> str:
    return parameter[1].__name__


@pytest.fixture(params=[(MariaDB, mysql), (Redis, redis), (InfluxDB, influxdb), (ClickHouse, clickhouse)], ids=_name)
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    kind, make = request.param
    with ExitStack() as stack:
        yield make(stack.enter_context(kind()))


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as server:
        yield server


async def test_every_row_arrives_though_the_database_dies(case: Case, broker: Mosquitto) -> None:
    await probe(case.resource, [case.action])
    what = Config(resources=(case.resource,), rules=(Rule(id="r", sql=flow.SQL, actions=(case.action,)),))
    async with flow.running(flow.broker(broker), what) as pipeline:

        def status() -> dict[str, Any]:
            found: dict[str, Any] = pipeline.status()["resources"][case.resource.id]
            return found

        messages = flow.numbered(COUNT)
        await asyncio.to_thread(flow.publish, broker, messages[: COUNT // 2])
        await flow.eventually(lambda: sorted(case.devices()) == flow.wanted(COUNT // 2), "the first half")
        await flow.eventually(lambda: status()["status"] == "connected", "the database's answer")
        case.server.kill()
        await asyncio.to_thread(flow.publish, broker, messages[COUNT // 2 :])
        await flow.eventually(lambda: status()["status"] == "disconnected", "the truth")
        assert status()["hop"] == "tcp"
        assert status()["cause"]
        await asyncio.to_thread(case.server.start)
        await flow.eventually(lambda: sorted(case.devices()) == flow.wanted(COUNT), "every row")
        await flow.eventually(lambda: status()["status"] == "connected", "the good news")
        assert len(pipeline.dead_letters) == 0


async def test_a_resource_is_not_connected_while_every_write_fails(broker: Mosquitto) -> None:
    """The server answers, the login works, and the table is not there."""
    with MariaDB() as server:
        case = mysql(server)
        server.execute("rename table t to away")
        what = Config(resources=(case.resource,), rules=(Rule(id="r", sql=flow.SQL, actions=(case.action,)),))
        async with flow.running(flow.broker(broker), what) as pipeline:
            await asyncio.to_thread(flow.publish, broker, flow.numbered(100))
            await flow.eventually(lambda: pipeline.status()["resources"]["my"]["status"] == "disconnected", "the truth")
            said = pipeline.status()["resources"]["my"]
            assert (said["hop"], "doesn't exist" in said["reason"], bool(said["hint"])) == ("statement", True, True)
            server.execute("rename table away to t")
            await flow.eventually(lambda: sorted(case.devices()) == flow.wanted(100), "every row")
            await flow.eventually(
                lambda: pipeline.status()["resources"]["my"]["status"] == "connected", "the good news"
            )


async def test_a_resource_is_not_connected_while_every_row_is_rejected(broker: Mosquitto) -> None:
    """Each row may be at fault by itself; that all of them are is the resource's state, until it takes one. Until then
    they wait.
    """
    with MariaDB() as server:
        server.execute("create table t(device int)")
        action = test_mysql.action("insert into t(device) values (${device})")
        what = Config(resources=(test_mysql.resource(server),), rules=(Rule(id="r", sql=flow.SQL, actions=(action,)),))
        async with flow.running(flow.broker(broker), what) as pipeline:
            await asyncio.to_thread(flow.publish, broker, flow.numbered(400))
            await flow.eventually(lambda: "are kept" in pipeline.status()["resources"]["my"]["reason"], "the truth")
            said = pipeline.status()["resources"]["my"]
            assert (said["status"], said["hop"]) == ("disconnected", "statement")
            assert "Incorrect integer" in said["reason"] and len(pipeline.dead_letters) <= 10
            await asyncio.to_thread(flow.publish, broker, [("sensors/1", {"device": "7", "temp": 30})])
            await flow.eventually(lambda: server.execute("select device from t") == [(7,)], "a row")
            await flow.eventually(
                lambda: pipeline.status()["resources"]["my"]["status"] == "connected", "the good news"
            )
