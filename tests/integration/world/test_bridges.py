"""Messages from broker to broker: what came with them is kept, templates say the rest, and loops end."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from integration.world import flow
from servers import START_SECONDS, Mosquitto
from tieline.integration.config import shapes as config
from tieline.integration.messages.message import CARRIED
from tieline.integration.rules.compile.template import text_template
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base.failures import Rejected
from tieline.integration.sinks.mqtt.bridge import MqttBridge, MqttPublish
from tieline.integration.sinks.mqtt.message import WAY, publication, templates

pytestmark = pytest.mark.world
DATA = b"\x00\xff"


class Device:
    """A real client that publishes with properties, and hears everything under a filter."""

    def __init__(self, server: Mosquitto) -> None:
        self.heard: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self._ready = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, flow.unique("d"), protocol=mqtt.MQTTv5)
        self.client.on_message = lambda _client, _data, message: self.heard.put(message)
        self.client.on_subscribe = lambda *_: self._ready.set()
        self.client.connect("127.0.0.1", server.port)
        self.client.loop_start()

    def hear(self, filter: str) -> None:
        self.client.subscribe(filter, 2)
        assert self._ready.wait(START_SECONDS)

    def say(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.UserProperty = [("a", "1"), ("a", "2"), ("é", "ü")]
        properties.ContentType, properties.ResponseTopic = "text/x", "answers/1"
        properties.CorrelationData, properties.MessageExpiryInterval = DATA, 600
        self.client.publish(topic, payload, qos, retain, properties=properties).wait_for_publish(START_SECONDS)

    async def next(self) -> mqtt.MQTTMessage:
        return await asyncio.to_thread(self.heard.get, timeout=START_SECONDS)


@contextmanager
def device(server: Mosquitto) -> Iterator[Device]:
    made = Device(server)
    yield made
    made.client.disconnect()
    made.client.loop_stop()


@pytest.fixture(scope="module")
def other() -> Iterator[Mosquitto]:
    with Mosquitto() as server:
        yield server


def bridge(server: Mosquitto) -> MqttBridge:
    return MqttBridge(id="there", server=f"127.0.0.1:{server.port}")


def said(message: mqtt.MQTTMessage) -> dict[str, Any]:
    found: dict[str, Any] = message.properties.json()  # type: ignore[union-attr]
    pairs = message.properties.UserProperty  # type: ignore[union-attr]
    return found | {"pairs": [pair for pair in pairs if pair[0] not in (WAY, "clientid", "id", "peerhost")]}


@pytest.mark.parametrize("buffer", ["broker", "disk"])
async def test_what_came_with_a_message_goes_on_with_it(
    mosquitto: Mosquitto, other: Mosquitto, tmp_path: Path, buffer: str
) -> None:
    topic = flow.unique("t")
    more: Any = {"qos": "${qos}", "retain": "${flags.retain}", "buffer_mode": buffer}
    action = MqttPublish(id="a", resource="there", topic="out/${topic}", payload="${payload}", **more)
    rule = config.Rule(id="r", sql=f'SELECT topic, payload, qos, flags FROM "{topic}"', actions=(action,))
    what = config.Config(resources=(bridge(other),), rules=(rule,))
    with device(mosquitto) as here, device(other) as there:
        there.hear(f"out/{topic}")
        async with flow.running(flow.broker(mosquitto), what, tmp_path):
            await asyncio.to_thread(here.say, topic, b"\x00\xfe", 2)
            got = await there.next()
    told = said(got)
    assert (got.payload, got.qos) == (b"\x00\xfe", 2)
    assert told["pairs"] == [("a", "1"), ("a", "2"), ("é", "ü")]
    assert (told["ContentType"], told["ResponseTopic"]) == ("text/x", "answers/1")
    assert got.properties.CorrelationData == DATA  # type: ignore[union-attr]
    assert 590 <= told["MessageExpiryInterval"] <= 600


async def test_retained_where_a_template_says_so(mosquitto: Mosquitto, other: Mosquitto) -> None:
    topic = flow.unique("t")
    action = MqttPublish(
        id="a", resource="there", topic=f"{topic}/${{k}}", retain="${k}", user_properties="${more}",
        mqtt_properties={"Content-Type": "x/${k}", "Message-Expiry-Interval": "${none}"},
    )  # fmt: skip
    sql = f'SELECT payload.k as k, payload.more as more, payload.none as none FROM "{topic}"'
    what = config.Config(resources=(bridge(other),), rules=(config.Rule(id="r", sql=sql, actions=(action,)),))
    async with flow.running(flow.broker(mosquitto), what) as running:
        sent = [(topic, {"k": k, "more": {"b": 7}}) for k in ("true", "false", "perhaps")]
        await asyncio.to_thread(flow.publish, mosquitto, sent)
        await flow.eventually(lambda: len(running.dead_letters) == 1, "the letter")
        with device(other) as there:
            there.hear(f"{topic}/#")
            got = await there.next()
    assert (got.topic, got.retain) == (f"{topic}/true", True)
    assert (said(got)["ContentType"], said(got)["pairs"]) == ("x/true", [("b", "7")])


async def test_a_loop_over_two_brokers_ends(mosquitto: Mosquitto, other: Mosquitto) -> None:
    topic = flow.unique("t")
    sql = f'SELECT topic, payload FROM "{topic}/#"'

    def back_and_forth(id: str, to: Mosquitto) -> config.Config:
        action = MqttPublish(id=f"{id}:0", resource="there", topic="${topic}", payload="${payload}")
        return config.Config(resources=(bridge(to),), rules=(config.Rule(id=id, sql=sql, actions=(action,)),))

    with device(mosquitto) as here, device(other) as there:
        here.hear(f"{topic}/#")
        there.hear(f"{topic}/#")
        async with (
            flow.running(flow.broker(mosquitto), back_and_forth("one", other)) as first,
            flow.running(flow.broker(other), back_and_forth("two", mosquitto)),
        ):
            await asyncio.to_thread(here.say, f"{topic}/x", b"p")
            await flow.eventually(lambda: len(first.dead_letters) == 1, "the end of the loop")
            (letter,) = first.dead_letters.list()
        assert "a loop" in letter.error
        assert letter.output is not None
        assert CARRIED not in letter.output
        assert (here.heard.qsize(), there.heard.qsize()) == (2, 1)
        assert [(await here.next()).payload for _ in range(2)] == [b"p", b"p"]


async def test_a_loop_by_a_template_ends(mosquitto: Mosquitto) -> None:
    topic = flow.unique("t")
    action = config.Republish(id="r:0", topic="${topic}", payload="${payload}")
    rule = config.Rule(id="r", sql=f'SELECT topic, payload FROM "{topic}/#"', actions=(action,))
    with device(mosquitto) as here:
        here.hear(f"{topic}/#")
        async with flow.running(flow.broker(mosquitto), config.Config(rules=(rule,))) as running:
            await asyncio.to_thread(here.say, f"{topic}/x", b"p")
            await flow.eventually(lambda: len(running.dead_letters) == 1, "the end of the loop")
        assert here.heard.qsize() == 2


def test_what_has_waited_is_taken_off_its_time_to_live() -> None:
    topic, payload, plain = text_template("t"), text_template("p"), templates(1, False, "", {})

    def made(at: float) -> Any:
        carried = {"at": 1_000_000, "properties": {"Message-Expiry-Interval": 10, "Payload-Format-Indicator": 1}}
        return publication("r", topic, payload, plain, {CARRIED: carried}, lambda: at).properties

    assert made(1004.5)["message_expiry_interval"] == 6
    for name, value in (("Correlation-Data", "no base64!"), ("Content-Type", 5), ("Content-Type", "a\0"), ("X", "y")):
        with pytest.raises(ValueError):
            publication("r", topic, payload, plain, {CARRIED: {"properties": {name: value}}})
    restored = {CARRIED: {"properties": {"Correlation-Data": "AP8="}}}  # as a letter keeps it
    assert publication("r", topic, payload, plain, restored).properties["correlation_data"] == DATA
    with pytest.raises(Rejected, match="expired"):
        made(1010.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"qos": 3},
        {"qos": "x"},
        {"retain": "perhaps"},
        {"mqtt_properties": {"Topic-Alias": "1"}},
        {"mqtt_properties": {"Message-Expiry-Interval": "-1"}},
        {"mqtt_properties": {"Payload-Format-Indicator": "2"}},
    ],
)
def test_what_can_never_be_right_is_refused_when_it_is_saved(wrong: dict[str, Any]) -> None:
    for kind in (MqttPublish, config.Republish):
        with pytest.raises(TemplateError):
            kind(id="a", resource="x", topic="t", **wrong).paths()
