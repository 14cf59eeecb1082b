"""Bytes that are no text, by every sink and every place of a template: there as they came, or refused by name."""

from __future__ import annotations

import asyncio
import queue as queues
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote_to_bytes

import paho.mqtt.client as mqtt
import pytest
import redis as library
from paho.mqtt.enums import CallbackAPIVersion

from brokers import KEY_ID, SECRET_KEY, Kafka, Moto, Nats, RabbitMQ
from databases import InfluxDB, Redis
from integration.sinks import test_influxdb, test_kafka, test_nats, test_rabbitmq, test_redis, ways
from integration.sinks.trying import refused, write
from integration.world.flow import unique
from servers import START_SECONDS, Mosquitto
from tieline.integration.config.shapes import Broker, Republish
from tieline.integration.sinks import Action, Resource, open_broker
from tieline.integration.sinks.aws.dynamodb import DynamoDB, DynamoItem
from tieline.integration.sinks.aws.kinesis import Kinesis, KinesisRecord
from tieline.integration.sinks.aws.s3 import S3, S3Object
from tieline.integration.sinks.aws.sqs import Sqs, SqsMessage
from tieline.integration.sinks.aws.timestream import Timestream, TimestreamRecord
from tieline.integration.sinks.http.sink import Http, HttpRequest
from tieline.integration.sinks.mqtt.bridge import MqttBridge, MqttPublish
from tieline.integration.sinks.redis.sink import RedisCommand

pytestmark = pytest.mark.world
Row = dict[str, Any]

PAYLOAD = bytes.fromhex("00 01 80 ff fe 41")
ROW: Row = {"payload": PAYLOAD, "name": "good", "timestamp": 1_700_000_000_000}
AROUND = "<${payload}|${name}>"
WRAPPED = b"<" + PAYLOAD + b"|good>"


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with Moto() as made:
        yield made


async def says_why(resource: Resource, *actions: Action) -> None:
    """Each action's row is refused by name, as its place takes text only."""
    for action in actions:
        said = await refused(resource, action, [ROW])
        assert "UTF-8" in said.rows[0], action
        assert "base64_encode" in said.rows[0], action


class Taker(BaseHTTPRequestHandler):
    """Keeps each request's path, header x and body."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.got.append((self.path, self.headers.get("x"), body))  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


async def test_bytes_by_http() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    got: list[tuple[str, str | None, bytes]] = []
    server.got = got  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        hook = Http(id="h", url=f"http://127.0.0.1:{server.server_port}")
        for body in ("${payload}", AROUND):
            await write(hook, HttpRequest(id="a", resource="h", path="/p/${payload}", body=body), [ROW])
        assert [body for _, _, body in got] == [PAYLOAD, WRAPPED]
        assert unquote_to_bytes(got[0][0]) == b"/p/" + PAYLOAD
        await says_why(
            hook,
            HttpRequest(id="a", resource="h", headers={"x": "${payload}"}),
            HttpRequest(id="a", resource="h"),  # the whole output as JSON
        )
        assert len(got) == 2
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def ears(server: Mosquitto) -> Iterator[queues.Queue[mqtt.MQTTMessage]]:
    """What a real client hears of everything."""
    heard: queues.Queue[mqtt.MQTTMessage] = queues.Queue()
    ready = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, unique("ears"), protocol=mqtt.MQTTv5)
    client.on_message = lambda _client, _data, message: heard.put(message)
    client.on_subscribe = lambda *_: ready.set()
    client.connect("127.0.0.1", server.port)
    client.loop_start()
    client.subscribe("#", 1)
    assert ready.wait(START_SECONDS)
    try:
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()


async def test_bytes_by_mqtt_bridge_and_republish() -> None:
    with Mosquitto() as server:
        broker = Broker(host="127.0.0.1", port=server.port, client_id="c")
        bridge = MqttBridge(id="m", server=f"127.0.0.1:{server.port}")
        sink = open_broker(broker)
        try:
            with ears(server) as got:
                await write(bridge, MqttPublish(id="a", resource="m", topic="t/${name}", payload="${payload}"), [ROW])
                await sink.writer(Republish(id="r", topic="u", payload=AROUND)).write([ROW])
                heard = [await asyncio.to_thread(got.get, timeout=START_SECONDS) for _ in range(2)]
            assert [(one.topic, one.payload) for one in heard] == [("t/good", PAYLOAD), ("u", WRAPPED)]
        finally:
            await sink.close()
        await says_why(
            bridge,
            MqttPublish(id="a", resource="m", topic="${payload}"),
            MqttPublish(id="a", resource="m", topic="t"),
        )


async def test_bytes_by_rabbitmq() -> None:
    with RabbitMQ() as server:
        resource, queue = test_rabbitmq.resource(server), await test_rabbitmq.queue(server)
        to = test_rabbitmq.action(queue, payload_template="${payload}", headers={"h": "${payload}", "t": "${name}"})
        await write(resource, to, [ROW])
        (message,) = await test_rabbitmq.taken(server, queue)
        assert message.body == PAYLOAD
        assert message.header.properties.headers == {"h": bytearray(PAYLOAD), "t": "good"}
        await says_why(
            resource,
            test_rabbitmq.action("${payload}"),
            test_rabbitmq.action(queue, exchange="${payload}"),
            test_rabbitmq.action(queue),
        )


async def test_bytes_by_nats() -> None:
    with Nats() as server:
        name = await test_nats.stream(server)
        await write(test_nats.resource(server), test_nats.action(name, payload_template="${payload}"), [ROW])
        assert [message.data for message in await test_nats.stored(server, name)] == [PAYLOAD]
        await says_why(
            test_nats.resource(server),
            test_nats.action(f"{name}.${{payload}}"),
            test_nats.action(name, headers={"h": "${payload}"}),
            test_nats.action(name, message_id="${payload}"),
            test_nats.action(name),
        )


async def test_bytes_by_kafka() -> None:
    with Kafka() as server:
        name = await test_kafka.topic(server, 1)
        to = test_kafka.action(name, key="${payload}", value=AROUND, kafka_headers={"h": "${payload}"})
        assert await ways.write(test_kafka.resource(server), to, ROW) == []
        (record,) = await test_kafka.records(server, name, 1)
        assert (record.key, record.value, record.headers) == (PAYLOAD, WRAPPED, (("h", PAYLOAD),))
        await says_why(test_kafka.resource(server), test_kafka.action("${payload}"), test_kafka.action(name))


async def test_bytes_by_redis(redis: Redis) -> None:
    resource, key = test_redis.resource(redis), unique("k")
    for template in (f"RPUSH {key} ${{payload}}", f"RPUSH {key} '{AROUND}'", "SET ${payload}:${name} ${name}"):
        await write(resource, RedisCommand(id="a", resource="r", command_template=template), [ROW])
    with library.Redis("127.0.0.1", redis.port, password=redis.password) as client:
        assert client.lrange(key, 0, -1) == [PAYLOAD, WRAPPED]
        assert client.get(PAYLOAD + b":good") == b"good"
    await says_why(resource, RedisCommand(id="a", resource="r", command_template="SET x ${.}"))


async def test_bytes_by_influxdb(influxdb: InfluxDB) -> None:
    line = test_influxdb.action(f"{unique('m')} v=${{payload}}")
    await says_why(test_influxdb.resource(influxdb), line)


async def test_bytes_by_aws(moto: Moto) -> None:
    keys: Row = {"id": "w", "endpoint_url": moto.endpoint}
    keys |= {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET_KEY}

    table = unique("t")
    schema, definitions = [{"AttributeName": "k", "KeyType": "HASH"}], [{"AttributeName": "k", "AttributeType": "B"}]
    moto.client("dynamodb").create_table(
        TableName=table, KeySchema=schema, AttributeDefinitions=definitions, BillingMode="PAY_PER_REQUEST"
    )
    items: list[Row] = [{"k": b"\xff", "n": 1}, {"k": "ÿ".encode(), "n": {"deep": [PAYLOAD]}}]
    await write(DynamoDB(**keys), DynamoItem(id="a", resource="w", table=table, hash_key="k"), items)
    found = {item["k"]["B"]: item["n"] for item in moto.client("dynamodb").scan(TableName=table)["Items"]}
    assert found == {b"\xff": {"N": "1"}, "ÿ".encode(): {"M": {"deep": {"L": [{"B": PAYLOAD}]}}}}

    stream, client = unique("s"), moto.client("kinesis")
    client.create_stream(StreamName=stream, ShardCount=1)
    record = KinesisRecord(id="a", resource="w", stream_name=stream, partition_key="x", payload_template="${payload}")
    await write(Kinesis(**keys), record, [ROW])
    (shard,) = client.list_shards(StreamName=stream)["Shards"]
    start = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    iterator = client.get_shard_iterator(StreamName=stream, **start)["ShardIterator"]
    assert [one["Data"] for one in client.get_records(ShardIterator=iterator)["Records"]] == [PAYLOAD]
    await says_why(Kinesis(**keys), KinesisRecord(id="a", resource="w", stream_name=stream, partition_key="${payload}"))

    bucket, storage = unique("b").replace("_", "-"), moto.client("s3")
    storage.create_bucket(Bucket=bucket)
    await write(S3(**keys), S3Object(id="a", resource="w", bucket=bucket, content="${payload}"), [ROW, ROW])
    (stored,) = storage.list_objects_v2(Bucket=bucket)["Contents"]
    assert storage.get_object(Bucket=bucket, Key=stored["Key"])["Body"].read() == PAYLOAD + b"\n" + PAYLOAD + b"\n"
    await says_why(S3(**keys), S3Object(id="a", resource="w", bucket=bucket))

    queue = unique("q")
    moto.client("sqs").create_queue(QueueName=queue)
    await says_why(Sqs(**keys), SqsMessage(id="a", resource="w", queue_name=queue, payload_template="${payload}"))
    control = await refused(
        Sqs(**keys), SqsMessage(id="a", resource="w", queue_name=queue, payload_template="${x}"), [{"x": "a\0b"}]
    )
    assert "no character" in control.rows[0]
    await says_why(
        Timestream(**keys, database="d"), TimestreamRecord(id="a", resource="w", table="t", dimensions=("name",))
    )
