"""Another broker: messages heard there by a real client, a broker that dies, what it refuses, and each hop of Test."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from brokers import SERVER_NAME
from certificates import Authority
from integration.sinks import ways
from integration.sinks.trying import CLOSED, failing
from integration.world.flow import unique
from servers import START_SECONDS, Mosquitto
from tieline.integration.config.shapes import Ssl
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.mqtt import bridge as mqtt_bridge
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world
Row = dict[str, Any]
USER, PASSWORD = "app", "app-secret"


class Guarded(Mosquitto):
    """Lets in one user, who may write under `open/` and read everything, with messages of at most 10,000 bytes."""

    def prepare(self) -> None:
        super().prepare()
        passwords = self.write("passwords", "")
        subprocess.run(["mosquitto_passwd", "-b", passwords, USER, PASSWORD], check=True, capture_output=True)
        self.write("passwords", passwords.read_text())
        access = self.write("access", f"user {USER}\ntopic read #\ntopic write open/#\n")
        lines = ["allow_anonymous false", f"password_file {passwords}", f"acl_file {access}", "max_packet_size 10000"]
        file = self.directory / "mosquitto.conf"
        file.write_text(file.read_text().replace("allow_anonymous true", "\n".join(lines)))


@pytest.fixture(scope="module")
def server() -> Iterator[Guarded]:
    with Guarded() as made:
        yield made


class Ears:
    """A client with a session that outlives broker and connection, and what it heard."""

    def __init__(self, server: Mosquitto, topic: str) -> None:
        self.got: list[tuple[str, Row, int, bool]] = []
        heard = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, unique("ears"), protocol=mqtt.MQTTv5)
        self.client.username_pw_set(USER, PASSWORD)
        self.client.reconnect_delay_set(0.05, 0.2)  # type: ignore[arg-type]
        self.client.on_message = lambda _c, _u, m: self.got.append((m.topic, json.loads(m.payload), m.qos, m.retain))
        self.client.on_subscribe = lambda *_: heard.set()
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 600
        self.client.connect("127.0.0.1", server.port, clean_start=False, properties=properties)
        self.client.loop_start()
        self.client.subscribe(topic, 2)
        assert heard.wait(START_SECONDS)

    async def rows(self, count: int) -> list[Row]:
        """What was heard, when there are so many different rows."""
        async with asyncio.timeout(START_SECONDS):
            while len({row["n"] for _, row, _, _ in list(self.got)}) < count:
                await asyncio.sleep(0.01)
        return [row for _, row, _, _ in self.got]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def ears(server: Guarded) -> Iterator[Ears]:
    made = Ears(server, "#")
    yield made
    made.close()


def resource(server: Mosquitto, /, **changes: Any) -> mqtt_bridge.MqttBridge:
    known: dict[str, Any] = {"id": "mqtt", "server": f"127.0.0.1:{server.port}", "connect_timeout": 2.0}
    return mqtt_bridge.MqttBridge(**(known | {"username": USER, "password": PASSWORD} | changes))


def action(topic: str, **changes: Any) -> mqtt_bridge.MqttPublish:
    return mqtt_bridge.MqttPublish(id="a", resource="mqtt", topic=topic, **changes)


def rows(count: int) -> list[Row]:
    return [{"n": n, "text": f"text {n}"} for n in range(count)]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_messages_are_heard_in_order(server: Guarded, ears: Ears, qos: int) -> None:
    topic = f"open/{unique('t')}"
    assert await ways.write(resource(server), action(topic, qos=qos), *rows(800)) == []
    assert await ears.rows(800) == rows(800)
    assert {(heard[0], heard[2]) for heard in ears.got} == {(topic, qos)}


async def test_bad_rows_among_many(server: Guarded, ears: Ears) -> None:
    sent = [{"n": n, "to": "open/x", "text": "x"} for n in range(40)]
    sent[3]["to"], sent[13]["to"], sent[23]["text"] = "open/#", "closed", "x" * 20_000
    buried = await ways.write(resource(server), action("${to}"), *sent)
    assert sorted((row["n"], bool(error)) for row, error in buried) == [(3, True), (13, True), (23, True)]
    await ears.rows(37)
    assert {row["n"] for _, row, _, _ in ears.got} == {n for n in range(40) if n not in (3, 13, 23)}


async def test_a_topic_that_the_user_may_not_write_to_is_waited_for(server: Guarded) -> None:
    async with ways.way(resource(server), action("closed")) as one:
        one.add(*rows(10))
        await one.until(lambda: one.batcher.trouble is not None, "the writes fail")
        assert one.batcher.trouble is not None
        assert one.batcher.trouble.hop in ("statement", "tcp")  # Mosquitto 2.0.11 ends the connection, mostly in time
        await one.until(lambda: one.batcher.metrics.retried > 50, "it is tried again")
        assert (one.done, one.buried) == (0, [])


async def test_a_broker_that_ends_during_writes() -> None:
    """It writes its sessions to disk when it ends. One that is killed forgets what it has just acknowledged: Mosquitto
    saves after it answers, so that no sender can know.
    """
    with Mosquitto() as own:
        ears = Ears(own, "t")
        try:
            await ways.outlive(own, resource(own), action("t", batch_size=50), rows(1000), own.stop)
            found = await ears.rows(1000)
        finally:
            ears.close()
        assert {row["n"] for row in found} == set(range(1000))


async def test_it_passes_and_changes_nothing(server: Guarded, ears: Ears) -> None:
    await probe(resource(server), [action("open/x"), action("${x}")])
    assert ears.got == []


async def test_each_hop_of_test(server: Guarded) -> None:
    assert (await failing(resource(server, server="no-such-host.invalid"))).hop == "name"
    assert (await failing(resource(server, server=CLOSED))).hop == "tcp"
    failed = await failing(resource(server, password="wrong"))
    assert (failed.hop, "CONNACK" in failed.cause) == ("login", True)
    failed = await failing(resource(server, ssl=Ssl(enable=True)))
    assert (failed.hop, "no answer" in failed.cause) == ("tls", False)


async def test_tls_with_a_client_certificate() -> None:
    authority = Authority()
    own = Mosquitto()
    pair, client = authority.sign(SERVER_NAME), authority.sign("device")
    texts = {"cafile": authority.cert, "certfile": pair.cert, "keyfile": pair.key}
    own.extra = (*(f"{name} {own.write(name, text)}" for name, text in texts.items()), "require_certificate true")
    keys: dict[str, Any] = {"cert": client.cert, "key": client.key}
    known: dict[str, Any] = {"enable": True, "cacert": authority.cert, "server_name": SERVER_NAME}
    with own:
        await probe(resource(own, ssl=Ssl(**known, **keys)))
        for ssl in (known, known | keys | {"server_name": "x.y"}, known | keys | {"cacert": Authority("b").cert}):
            failed = await failing(resource(own, ssl=Ssl(**ssl)))
            assert (failed.hop, "no answer" in failed.cause) == ("tls", False), failed.cause
        assert (await failing(resource(own))).hop == "tls"


async def test_a_broker_that_says_nothing_any_more_is_given_up() -> None:
    """Its connection is still there: neither a write nor a check may take that for an answer."""
    with Guarded() as own:
        ears, to = Ears(own, "open/#"), resource(own, write_timeout=1.0, connect_timeout=1.0)
        try:
            async with ways.way(to, action("open/x")) as one:
                one.add({"n": 0})
                await one.drained()
                own.signal(signal.SIGSTOP)
                with pytest.raises(Unavailable) as silent:
                    await one.sink.check([])
                own.signal(signal.SIGCONT)
                one.add({"n": 1})
                await one.drained()
                own.signal(signal.SIGSTOP)
                one.add({"n": 2}, {"n": 3})
                await one.until(lambda: one.batcher.trouble is not None, "the write is given up")
                own.signal(signal.SIGCONT)
                await one.drained()
                assert not one.buried
            assert silent.value.hop == "tcp"
            assert {row["n"] for row in await ears.rows(4)} == {0, 1, 2, 3}
        finally:
            ears.close()
