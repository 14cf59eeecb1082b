"""From a device over the broker and a rule into kinds that take messages, three of them from one rule."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest

from brokers import Kafka, Moto, Nats
from integration.sinks import test_aws, test_kafka, test_nats
from integration.world import flow
from servers import Mosquitto
from tieline.integration.config import shapes as config

pytestmark = pytest.mark.world


async def test_one_rule_writes_to_three_kinds() -> None:
    with Mosquitto() as broker, Nats() as nats, Kafka() as kafka, Moto() as aws:
        stream, topic, place = await test_nats.stream(nats), await test_kafka.topic(kafka), test_aws.dynamodb(aws)
        actions = (test_nats.action(stream), test_kafka.action(topic), place.action)
        named = tuple(msgspec.structs.replace(action, id=f"a{number}") for number, action in enumerate(actions))
        rule = config.Rule(id="r", sql='SELECT payload.n as n, payload.text as text FROM "rows"', actions=named)
        resources = (test_nats.resource(nats), test_kafka.resource(kafka), place.resource)
        what = config.decode(config.encode(config.Config(resources=resources, rules=(rule,))))
        sent = test_aws.rows(300)
        async with flow.running(flow.broker(broker), what) as running:
            await asyncio.to_thread(flow.publish, broker, [("rows", row) for row in sent])
            await flow.eventually(
                lambda: all(figures["success"] == 300 for figures in running.metrics()["actions"]["r"].values()),
                "rows everywhere",
            )
        assert [json.loads(message.data) for message in await test_nats.stored(nats, stream)] == sent
        assert test_kafka.values(await test_kafka.records(kafka, topic, len(sent))) == sent
        assert test_aws.ordered(place.read()) == sent
