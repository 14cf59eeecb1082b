"""What the world tests of the integration share: a pipeline between two real servers, and a device that publishes."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from servers import START_SECONDS, Mosquitto, PostgreSQL
from tieline.integration.config import shapes as config
from tieline.integration.worker.pipeline import Pipeline
from tieline.integration.worker.workers import Workers

SQL = 'SELECT payload.device as device, payload.temp as temp, timestamp FROM "sensors/#" WHERE payload.temp > 20'
INSERT = "insert into {table}(device, temp, ts) values (${{device}}, ${{temp}}, ${{timestamp}})"


def unique(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}_{uuid.uuid4().hex[:8]}"


def table(database: PostgreSQL, columns: str = "device text, temp float8, ts bigint") -> str:
    """A new table."""
    name = unique("t")
    database.execute(f"create table {name}({columns})")
    return name


def resource(server: PostgreSQL, /, **changes: Any) -> config.PostgreSQL:
    """The database as a resource."""
    known: dict[str, Any] = {
        "id": "pg",
        "server": server.server,
        "database": server.database,
        "username": server.user,
        "password": server.password,
        "connect_timeout": 2.0,
    }
    return config.PostgreSQL(**(known | changes))


def rule(target: str, sql: str = SQL, insert: str = INSERT, id: str = "r") -> config.Rule:
    """A rule that writes into a table."""
    action = config.Sql(id="write", resource="pg", sql=insert.format(table=target))
    return config.Rule(id=id, sql=sql, actions=(action,))


def broker(server: Mosquitto, **changes: Any) -> config.Broker:
    """The broker, under a client id of its own."""
    known: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "client_id": unique("agent")}
    return config.Broker(**(known | changes))


@asynccontextmanager
async def running(where: config.Broker, what: config.Config, directory: Path | None = None) -> AsyncIterator[Pipeline]:
    """A pipeline that is subscribed."""
    pipeline = Pipeline(where, what, directory)
    task = asyncio.create_task(pipeline.run())
    await asyncio.sleep(0)
    try:
        await subscribed(pipeline)
        yield pipeline
    finally:
        await pipeline.close(grace=0.5)
        await task


async def subscribed(pipeline: Pipeline | Workers) -> None:
    """Wait until it hears everything; fails with its status."""
    try:
        async with asyncio.timeout(START_SECONDS):
            await pipeline.ready()
    except TimeoutError:
        raise AssertionError(f"not ready within {START_SECONDS} s: {pipeline.status()}") from None


async def eventually(true: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Ask in a thread until it is true; fails naming `what`."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await asyncio.to_thread(true):
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)


class Device:
    """A real MQTT client that publishes; leaving the block waits until the broker has every message."""

    def __init__(self, server: Mosquitto, qos: int = 1) -> None:
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, client_id=unique("device"))
        self.client.max_inflight_messages_set(1000)
        self.client.connect("127.0.0.1", server.port)
        self.client.loop_start()
        self.qos = qos
        self._sent: list[mqtt.MQTTMessageInfo] = []

    def publish(self, topic: str, payload: Any, properties: Properties | None = None) -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload)
        self._sent.append(self.client.publish(topic, data, self.qos, properties=properties))

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for info in self._sent:
                info.wait_for_publish(30)
        finally:
            self.client.disconnect()
            self.client.loop_stop()


def user_properties(*pairs: tuple[str, str]) -> Properties:
    """MQTT 5 user properties in this order."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for pair in pairs:
        properties.UserProperty = pair
    return properties


def publish(server: Mosquitto, messages: Iterable[tuple[str, Any]], qos: int = 1) -> None:
    """Publish (topic, payload) pairs and return when the broker has them."""
    with Device(server, qos) as device:
        for topic, payload in messages:
            device.publish(topic, payload)


def numbered(count: int) -> list[tuple[str, Any]]:
    """Messages d0 … with temperatures from 0 to 39 in turn, so that 19 of 40 pass `temp > 20`."""
    return [(f"sensors/{n % 7}", {"device": f"d{n}", "temp": n % 40}) for n in range(count)]


def wanted(count: int) -> list[str]:
    """The devices of `numbered` that pass."""
    return sorted(f"d{n}" for n in range(count) if n % 40 > 20)


def devices(database: PostgreSQL, target: str) -> list[str]:
    """The devices whose rows are there."""
    return sorted(row[0] for row in database.execute(f"select device from {target}"))
