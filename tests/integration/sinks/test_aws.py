"""What AWS hosts, each kind against moto's server: rows written and read back, a way that is cut, what Test says."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from brokers import KEY_ID, SECRET_KEY, Front, Moto
from integration.sinks.trying import CLOSED, failing
from integration.sinks.ways import outlive, write
from integration.world.flow import unique
from tieline.integration.sinks import Action
from tieline.integration.sinks.aws.dynamodb import DynamoDB, DynamoItem
from tieline.integration.sinks.aws.kinesis import Kinesis, KinesisRecord
from tieline.integration.sinks.aws.resource import Aws
from tieline.integration.sinks.aws.s3 import S3, S3Object
from tieline.integration.sinks.aws.sqs import Sqs, SqsMessage
from tieline.integration.sinks.aws.timestream import Timestream, TimestreamRecord
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world

Row = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A new destination in moto, how to write to it, and how to see what is in it."""

    resource: Aws
    action: Action
    read: Callable[[], list[Row]]
    missing: Action  # to a destination that is not there
    poison: Row  # a row that is refused while others are taken
    count: int = 601  # rows that make several requests; moto's queues are slow to read


def place(made: type[Aws], moto: Moto, **more: Any) -> Any:
    keys: dict[str, Any] = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET_KEY}
    return made(id="aws", endpoint_url=moto.endpoint, **keys, **more)


def dynamodb(moto: Moto) -> Place:
    client, table = moto.client("dynamodb"), unique("t")
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "n", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "n", "AttributeType": "N"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def read() -> list[Row]:
        pages = client.get_paginator("scan").paginate(TableName=table)
        return [{"n": int(item["n"]["N"]), "text": item["text"]["S"]} for page in pages for item in page["Items"]]

    action = DynamoItem(id="a", resource="aws", table=table, hash_key="n")
    missing = msgspec.structs.replace(action, table="absent")
    return Place(place(DynamoDB, moto), action, read, missing, {"n": "no number", "text": ""})


def kinesis(moto: Moto) -> Place:
    client, stream = moto.client("kinesis"), unique("s")
    client.create_stream(StreamName=stream, ShardCount=2)

    def read() -> list[Row]:
        rows = []
        for shard in client.list_shards(StreamName=stream)["Shards"]:
            start = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            iterator = client.get_shard_iterator(StreamName=stream, **start)["ShardIterator"]
            while records := (answer := client.get_records(ShardIterator=iterator))["Records"]:
                rows += [json.loads(record["Data"]) for record in records]
                iterator = answer["NextShardIterator"]
        return rows

    action = KinesisRecord(id="a", resource="aws", stream_name=stream, partition_key="${n}")
    missing = msgspec.structs.replace(action, stream_name="absent")
    return Place(place(Kinesis, moto), action, read, missing, {"n": 1, "text": "x" * (1 << 20)})


def sqs(moto: Moto) -> Place:
    client, queue = moto.client("sqs"), unique("q")
    url = client.create_queue(QueueName=queue)["QueueUrl"]

    def read() -> list[Row]:
        rows: list[Row] = []
        while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            rows += [json.loads(message["Body"]) for message in messages]
            for message in messages:
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return rows

    action = SqsMessage(id="a", resource="aws", queue_name=queue)
    missing = msgspec.structs.replace(action, queue_name="absent")
    return Place(place(Sqs, moto), action, read, missing, {"n": 1, "text": "x" * (1 << 21)}, 101)


def s3(moto: Moto) -> Place:
    client, bucket = moto.client("s3"), unique("b").replace("_", "-")
    client.create_bucket(Bucket=bucket)

    def read() -> list[Row]:
        keys = [found["Key"] for found in client.list_objects_v2(Bucket=bucket).get("Contents", ())]
        bodies = [client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
        return [json.loads(line) for body in bodies for line in body.splitlines()]

    line = '{"n": ${n}, "text": "${text}"}'
    action = S3Object(id="a", resource="aws", bucket=bucket, content=line, batch_time=0.01)
    missing = msgspec.structs.replace(action, bucket="absent")
    return Place(place(S3, moto), action, read, missing, {"n": 1, "text": "\n"})


def timestream(moto: Moto) -> Place:
    client, database, table = moto.client("timestream-write"), unique("d"), unique("t")
    client.create_database(DatabaseName=database)
    client.create_table(DatabaseName=database, TableName=table)

    def read() -> list[Row]:
        with urllib.request.urlopen(f"{moto.endpoint}/moto-api/data.json") as answer:
            tables = json.load(answer)["timestreamwrite"]["TimestreamTable"]
        rows = []
        for record in next(found["records"] for found in tables if found["name"] == table):
            measures = {measure["Name"]: measure["Value"] for measure in record["MeasureValues"]}
            assert abs(int(record["Time"]) - time.time() * 1000) < 300_000
            rows.append({"n": int(record["Dimensions"][0]["Value"]), "text": measures["text"]})
        return rows

    now = str(int(time.time() * 1000))
    action = TimestreamRecord(id="a", resource="aws", table=table, dimensions=("n",), time=now)
    missing = msgspec.structs.replace(action, table="absent")
    return Place(place(Timestream, moto, database=database), action, read, missing, {"n": 1})


KINDS = [dynamodb, kinesis, sqs, s3, timestream]


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with Moto() as server:
        yield server


@pytest.fixture(params=KINDS, ids=lambda make: str(make.__name__))
def there(request: pytest.FixtureRequest, moto: Moto) -> Place:
    made: Place = request.param(moto)
    return made


def rows(count: int) -> list[Row]:
    return [{"n": n, "text": f"text {n}"} for n in range(count)]


def ordered(found: list[Row]) -> list[Row]:
    return sorted(found, key=lambda row: int(row["n"]))


async def test_what_is_written_is_there(there: Place) -> None:
    assert await write(there.resource, there.action, *rows(there.count)) == []
    assert ordered(there.read()) == rows(there.count)


async def test_one_bad_row_among_many(there: Place) -> None:
    good = rows(60)
    [(row, error)] = await write(there.resource, there.action, *good[:30], there.poison, *good[30:])
    assert row == there.poison
    assert error
    assert ordered(there.read()) == good


async def test_a_way_that_is_cut_during_writes(there: Place, moto: Moto) -> None:
    with Front(moto.port) as front:
        written = rows(min(there.count, 400))
        cut = msgspec.structs.replace(there.resource, endpoint_url=f"http://127.0.0.1:{front.port}")
        await outlive(front, cut, msgspec.structs.replace(there.action, batch_size=20), written)
    found = there.read()
    assert ordered([dict(pairs) for pairs in {tuple(sorted(row.items())) for row in found}]) == written


async def test_it_passes_and_changes_nothing(there: Place) -> None:
    await probe(there.resource)
    await probe(there.resource, [there.action])
    assert there.read() == []


async def test_a_destination_that_is_not_there(there: Place) -> None:
    failed = await failing(there.resource, there.missing)
    assert (failed.hop, "absent" in failed.message, "does not exist" in failed.message) == ("statement", True, True)


async def test_nobody_listens(there: Place) -> None:
    failed = await failing(msgspec.structs.replace(there.resource, endpoint_url=f"http://{CLOSED}"))
    assert (failed.hop, "refused" in failed.message) == ("tcp", True)


async def test_an_unknown_name(there: Place) -> None:
    changed = msgspec.structs.replace(there.resource, endpoint_url="https://no-such-host.invalid")
    assert (await failing(changed)).hop == "name"
