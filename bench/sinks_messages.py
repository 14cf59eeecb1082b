"""How fast rows get into brokers and AWS's emulator: our sinks beside the same clients used plainly, in turns.

python bench/sinks_messages.py [--count 5000] [--rounds 3] [--json FILE]

Both send rows that are in memory already, in one process, and wait until the server has each: ours in the batches that
the pipeline makes, the plain way with one awaited call a message, as the clients' own examples have it, or for AWS one
request a row. The servers share the machine. CPU is the process's own, for each row.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent / "tests")  # instead of this directory, which has an `integration` too

import aiokafka  # noqa: E402
import aiormq  # noqa: E402
import nats  # noqa: E402

from brokers import Kafka, Moto, Nats, RabbitMQ  # noqa: E402
from integration.sinks import test_aws, test_kafka, test_nats, test_rabbitmq, ways  # noqa: E402
from tieline.integration.sinks.base.kind import Action, Resource  # noqa: E402

Row = dict[str, Any]
Way = Callable[[list[Row]], Awaitable[None]]


def ours(resource: Resource, action: Action) -> Way:
    """The sink as the pipeline drives it."""

    async def send(rows: list[Row]) -> None:
        assert await ways.write(resource, action, *rows) == []

    return send


async def into_nats(server: Nats) -> tuple[Way, Way]:
    name = await test_nats.stream(server)

    async def plain(rows: list[Row]) -> None:
        url = f"nats://127.0.0.1:{server.port}"
        client = await nats.connect(url, user=server.user, password=server.password)
        for row in rows:
            await client.jetstream().publish(name, json.dumps(row).encode())
        await client.close()

    return ours(test_nats.resource(server), test_nats.action(name)), plain


async def into_rabbitmq(server: RabbitMQ) -> tuple[Way, Way]:
    name = await test_rabbitmq.queue(server)

    async def plain(rows: list[Row]) -> None:
        connection = await test_rabbitmq.connect(server)
        channel = await connection.channel(publisher_confirms=True)
        properties = aiormq.spec.Basic.Properties(delivery_mode=2)
        for row in rows:
            await channel.basic_publish(json.dumps(row).encode(), routing_key=name, properties=properties)
        await connection.close()

    return ours(test_rabbitmq.resource(server), test_rabbitmq.action(name)), plain


async def into_kafka(server: Kafka) -> tuple[Way, Way]:
    name = await test_kafka.topic(server)

    async def plain(rows: list[Row]) -> None:
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=f"127.0.0.1:{server.port}", acks="all")
        await producer.start()
        for row in rows:
            await producer.send_and_wait(name, json.dumps(row).encode())
        await producer.stop()

    return ours(test_kafka.resource(server), test_kafka.action(name)), plain


async def into_kinesis(server: Moto) -> tuple[Way, Way]:
    place = test_aws.kinesis(server)
    client = server.client("kinesis")

    async def plain(rows: list[Row]) -> None:
        for row in rows:
            stream, data = place.action.stream_name, json.dumps(row).encode()  # type: ignore[attr-defined]
            client.put_record(StreamName=stream, Data=data, PartitionKey=str(row["n"]))

    return ours(place.resource, place.action), plain


async def into_dynamodb(server: Moto) -> tuple[Way, Way]:
    place = test_aws.dynamodb(server)
    client = server.client("dynamodb")

    async def plain(rows: list[Row]) -> None:
        for row in rows:
            item = {"n": {"N": str(row["n"])}, "text": {"S": row["text"]}}
            client.put_item(TableName=place.action.table, Item=item)  # type: ignore[attr-defined]

    return ours(place.resource, place.action), plain


async def timed(send: Way, rows: list[Row]) -> dict[str, float]:
    cpu, began = time.process_time(), time.perf_counter()
    await send(rows)
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    return {"rows_per_second": len(rows) / seconds, "cpu_us_per_row": used / len(rows) * 1e6}


#: Server, what writes to it, and by how much fewer rows are enough because the emulator is slow.
KINDS: dict[str, tuple[Callable[[], Any], Callable[[Any], Awaitable[tuple[Way, Way]]], int]] = {
    "nats": (Nats, into_nats, 1),
    "rabbitmq": (RabbitMQ, into_rabbitmq, 1),
    "kafka": (Kafka, into_kafka, 1),
    "kinesis": (Moto, into_kinesis, 5),
    "dynamodb": (Moto, into_dynamodb, 5),
}


async def compare(kind: str, count: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Both ways once in each round, against one server."""
    make, into, fewer = KINDS[kind]
    runs: dict[str, list[dict[str, float]]] = {"plain": [], "tieline": []}
    rows = [{"n": n, "text": f"text {n}"} for n in range(count // fewer)]
    with make() as server:
        tieline, plain = await into(server)
        await tieline(rows[:50])
        await plain(rows[:50])
        for _ in range(rounds):
            runs["plain"].append(await timed(plain, rows))
            runs["tieline"].append(await timed(tieline, rows))
    return runs


def tell(kind: str, runs: dict[str, list[dict[str, float]]]) -> None:
    """A line for each way."""
    base = statistics.median(run["rows_per_second"] for run in runs["plain"])
    for name, those in runs.items():
        rates = [run["rows_per_second"] for run in those]
        rate, cpu = statistics.median(rates), statistics.median(run["cpu_us_per_row"] for run in those)
        spread = f"{min(rates):>10,.0f}{max(rates):>10,.0f}"
        print(f"{kind:10}{name:10}{rate:>10,.0f}{rate / base:>8.1f}{spread}{cpu:>12.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(f"{'':10}{'way':10}{'rows/s':>10}{'ratio':>8}{'from':>10}{'to':>10}{'CPU µs/row':>12}")
    result = {}
    for kind in KINDS:
        result[kind] = asyncio.run(compare(kind, options.count, options.rounds))
        tell(kind, result[kind])
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
