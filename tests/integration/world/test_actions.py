"""Several actions, republished messages, rules that only count, and what is counted."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from integration.world import flow
from servers import START_SECONDS, Mosquitto, PostgreSQL
from tieline.integration.config import shapes as config
from tieline.integration.config.definition import define
from tieline.integration.delivery.dead_letters import DeadLetters
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.worker import pipeline

pytestmark = pytest.mark.world


class Listener:
    """A real client that collects what is published under a filter."""

    def __init__(self, server: Mosquitto, filter: str) -> None:
        self.got: list[tuple[str, str, int, bool]] = []
        subscribed = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_message = lambda _c, _u, m: self.got.append((m.topic, m.payload.decode(), m.qos, m.retain))
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", server.port)
        self.client.loop_start()
        self.client.subscribe(filter, 2)
        assert subscribed.wait(START_SECONDS)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def alarms(mosquitto: Mosquitto) -> Iterator[Listener]:
    listener = Listener(mosquitto, "alarms/#")
    yield listener
    listener.close()


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_row_and_a_message(postgresql: PostgreSQL, mosquitto: Mosquitto, alarms: Listener, qos: int) -> None:
    target = flow.table(postgresql)
    written = flow.rule(target).actions[0]
    again = config.Republish(id="again", topic="alarms/${device}", payload="hot: ${temp}", qos=qos)
    what = config.Config(
        resources=(flow.resource(postgresql),), rules=(config.Rule(id="r", sql=flow.SQL, actions=(written, again)),)
    )
    async with flow.running(flow.broker(mosquitto), what) as running:
        await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(400))
        expected = flow.wanted(400)
        await flow.eventually(lambda: len(alarms.got) == len(expected), "messages")
        await flow.eventually(lambda: flow.devices(postgresql, target) == expected, "rows")
        assert sorted(topic.removeprefix("alarms/") for topic, *_ in alarms.got) == expected
        assert {(payload.split()[0], level) for _, payload, level, _ in alarms.got} == {("hot:", qos)}
        assert running.metrics()["rules"]["r"]["matched"] == 400

        def counted() -> set[int]:
            return {action["success"] for action in running.metrics()["actions"]["r"].values()}

        await flow.eventually(lambda: counted() == {len(expected)}, "the answers of both")


async def test_a_topic_that_cannot_be_published_to_goes_to_the_dead_letters(
    mosquitto: Mosquitto, alarms: Listener
) -> None:
    action = config.Republish(id="a", topic="alarms/${device}")
    rule = config.Rule(id="r", sql='SELECT payload.device as device FROM "d/#"', actions=(action,))
    async with flow.running(flow.broker(mosquitto), config.Config(rules=(rule,))) as running:
        await asyncio.to_thread(flow.publish, mosquitto, [("d/1", {"device": "#"}), ("d/1", {"device": "ok"})])
        await flow.eventually(lambda: len(running.dead_letters) == 1, "the letter")
        await flow.eventually(lambda: [got[1] for got in alarms.got[:1]] == ['{"device":"ok"}'], "the message")


def test_a_rule_that_would_feed_itself_is_refused() -> None:
    action = config.Republish(id="a", topic="d/again")
    rule = config.Rule(id="r", sql='SELECT * FROM "d/#"', actions=(action,))
    with pytest.raises(TemplateError, match="for ever"):
        define(rule, {})


async def test_a_rule_without_actions_counts(mosquitto: Mosquitto) -> None:
    rule = config.Rule(id="r", sql='SELECT topic FROM "c/#" WHERE payload.n > 1')
    async with flow.running(flow.broker(mosquitto), config.Config(rules=(rule,))) as running:
        await asyncio.to_thread(flow.publish, mosquitto, [("c/1", {"n": n}) for n in range(5)])
        await flow.eventually(lambda: running.metrics()["rules"]["r"]["matched"] == 5, "the count")
        assert running.metrics()["rules"]["r"]["passed"] == 3


async def test_one_dead_database_does_not_hold_up_another(mosquitto: Mosquitto, postgresql: PostgreSQL) -> None:
    target = flow.table(postgresql)
    gone = flow.resource(postgresql, id="gone", server="127.0.0.1:1")
    lost = config.Sql(id="lost", resource="gone", sql=f"insert into {target}(device) values (${{device}})")
    rules = (flow.rule(target), config.Rule(id="lost", sql=flow.SQL, actions=(lost,)))
    where = flow.broker(mosquitto, receive_maximum=50)
    async with flow.running(where, config.Config(resources=(flow.resource(postgresql), gone), rules=rules)) as running:
        await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(2000))
        await flow.eventually(lambda: flow.devices(postgresql, target) == flow.wanted(2000), "the rows of the other")

        def waits() -> bool:
            found = running.status()["resources"]["gone"]
            return bool(found["status"] == "disconnected" and found["pending"] >= 50)

        await flow.eventually(waits, "the state of the dead one")
        status = running.status()
        assert status["resources"]["gone"]["pending"] < 900  # not everything: the broker keeps the rest
        assert (status["rules"]["lost"]["status"], status["rules"]["r"]["status"]) == ("waiting", "running")


async def count(letters: DeadLetters, numbers: set[int]) -> None:
    """How many letters there are, again and again."""
    while True:
        numbers.add(len(letters))
        await asyncio.sleep(0)


async def test_a_dead_letter_is_replayed_once_the_cause_is_gone(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    target = flow.table(postgresql, "device text, temp float8 check (temp < 100), ts bigint")
    what = config.Config(resources=(flow.resource(postgresql),), rules=(flow.rule(target),))
    async with flow.running(flow.broker(mosquitto), what, tmp_path) as running:
        hot = [("sensors/1", {"device": f"h{n}", "temp": 200 + n}) for n in range(5)]
        await asyncio.to_thread(flow.publish, mosquitto, hot)
        letters = running.dead_letters
        await flow.eventually(lambda: len(letters) == 5, "letters")
        first = [letter.id for letter in letters.list()]
        numbers: set[int] = set()
        counting = asyncio.create_task(count(letters, numbers))
        assert running.replay([*first, "x"]) == {**dict.fromkeys(first, ""), "x": "there is no such letter"}
        await flow.eventually(
            lambda: len(letters) == 5 and {x.id for x in letters.list()}.isdisjoint(first), "the same again"
        )
        counting.cancel()
        assert numbers == {5}  # nobody sees a letter beside its successor, nor neither of them
        postgresql.execute(f"alter table {target} drop constraint {target}_temp_check")
        running.replay([letter.id for letter in letters.list()])
        await flow.eventually(lambda: flow.devices(postgresql, target) == [f"h{n}" for n in range(5)], "rows")
        await flow.eventually(lambda: len(letters) == 0, "no letters")
        stamps = postgresql.execute(f"select min(ts), max(ts) from {target}")[0]
        assert abs(stamps[0] / 1000 - time.time()) < 60
        await flow.eventually(lambda: running.status()["resources"]["pg"]["pending"] == 0, "nothing pending")
    assert (tmp_path / "dead-letters.jsonl").read_bytes() == b""


async def test_what_is_measured(postgresql: PostgreSQL, mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "INTERVAL", 0.05)
    target = flow.table(postgresql)
    what = config.Config(resources=(flow.resource(postgresql),), rules=(flow.rule(target),))
    async with flow.running(flow.broker(mosquitto), what) as running:
        await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(400))

        def newest() -> list[tuple[float, ...]]:
            return [kept[-1][1:] for kept in running.history("r").values() if kept]

        await flow.eventually(lambda: newest() == [(190, 190, 0, 0), (400, 190, 210)], "a sample behind the last row")
        rule, action = running.metrics()["rules"]["r"], running.metrics()["actions"]["r"]["write"]
        assert rule["rate.max"] > 0
        assert 0 < action["latency.p50"] <= action["latency.p95"] <= action["latency.p99"] < 60_000
        json.dumps(running.metrics())
        running.reset_metrics("r")
        assert running.metrics()["rules"]["r"]["matched"] == 0
        assert running.metrics()["actions"]["r"]["write"]["received"] == 0


async def test_counters_are_kept_for_the_configured_time(mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "INTERVAL", 0.005)
    again = config.Republish(id="again", topic="nobody/${device}", payload="x")
    what = config.Config(rules=(config.Rule(id="r", sql=flow.SQL, actions=(again,)),))
    async with flow.running(flow.broker(mosquitto), what) as running:
        await flow.eventually(lambda: all(len(kept) > 130 for kept in running.history("r").values()), "samples")
        newest = running.history("r")[""][-1]
        await running.apply(msgspec.structs.replace(what, metrics_minutes=10))
        present = running.history("r")
        assert {name: len(kept) for name, kept in present.items()} == {"": 120, "again": 120}  # 5 s apart in earnest
        assert present[""][-1] >= newest
        await flow.eventually(lambda: running.history("r")[""][0] > present[""][-1], "other samples")
        assert len(running.history("r")[""]) == 120
