"""What a broker acknowledged is on disk soon after, so that a SIGKILL loses no more than the pause before a write."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import Client as MqttClient
from paho.mqtt.enums import CallbackAPIVersion

from servers import START_SECONDS, free_port
from tieline.agent.brokers.mosquitto import QUEUES, Mosquitto
from tieline.agent.brokers.saving import BYTES_A_SECOND, SHORTEST, pause
from tieline.agent.brokers.settings import Listener, Settings

MESSAGES = 200


@given(st.integers(0, 10**12))
def test_writing_takes_a_bounded_share_of_time(size: int) -> None:
    assert pause(size) >= SHORTEST
    assert size / (10 * BYTES_A_SECOND) <= pause(size) * 0.1 + 1e-9


class Subscriber:
    """A session that outlives its connections."""

    def __init__(self, port: int) -> None:
        self.got = 0
        self.subscribed = False
        self.port = port

    def connected(self) -> MqttClient:
        client = MqttClient(CallbackAPIVersion.VERSION2, client_id="kept", clean_session=False)
        client.on_connect = lambda *_: self._subscribe(client)
        client.on_subscribe = self._answered
        client.on_message = self._count
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        return client

    def _subscribe(self, client: MqttClient) -> None:
        client.subscribe("t", 1)

    def _answered(self, *_: object) -> None:
        self.subscribed = True

    def _count(self, *_: object) -> None:
        self.got += 1


async def until(done: object, seconds: float = START_SECONDS) -> None:
    assert callable(done)
    async with asyncio.timeout(seconds):
        while not done():
            await asyncio.sleep(0.02)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for part in (tmp_path, *tmp_path.parents):  # the broker's user must be able to enter
        if part.stat().st_uid == os.getuid() and str(part).startswith("/tmp/pytest"):
            part.chmod(part.stat().st_mode | 0o011)
    return tmp_path / "broker"


async def test_a_killed_broker_keeps_what_it_acknowledged(state: Path) -> None:
    port = free_port()
    broker = Mosquitto(state, "own", lambda: None)
    try:
        await broker.apply(Settings(mqtt=Listener(host="127.0.0.1", port=port)))
        await until(lambda: broker.running)
        subscriber = Subscriber(port)
        client = subscriber.connected()
        await until(lambda: subscriber.subscribed)
        client.disconnect()
        client.loop_stop()
        await asyncio.to_thread(_publish, port)
        acknowledged = time.time_ns()
        await until(lambda: (state / QUEUES).exists() and (state / QUEUES).stat().st_mtime_ns > acknowledged)
        process = broker._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: not broker.running)
        await until(lambda: broker.running)
        client = subscriber.connected()
        await until(lambda: subscriber.got == MESSAGES)
        client.disconnect()
        client.loop_stop()
    finally:
        await broker.close()


def _publish(port: int) -> None:
    client = MqttClient(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for information in [client.publish("t", b"x", 1) for _ in range(MESSAGES)]:
        information.wait_for_publish(START_SECONDS)
    client.disconnect()
    client.loop_stop()
