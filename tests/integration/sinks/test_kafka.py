"""Kafka's protocol as Tansu speaks it: records read back, a broker that dies, what is refused, each hop of Test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from brokers import SERVER_NAME, Front, Kafka, Moto
from certificates import Authority
from integration.sinks import ways
from integration.sinks.trying import CLOSED, failing
from integration.world.flow import unique
from servers import free_port
from tieline.integration.config.shapes import Ssl
from tieline.integration.sinks.kafka import sink as kafka
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world
Row = dict[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Kafka]:
    with Kafka() as made:
        yield made


def resource(server: Kafka | Front, **changes: Any) -> kafka.Kafka:
    known: dict[str, Any] = {"id": "kafka", "bootstrap_hosts": f"127.0.0.1:{server.port}", "connect_timeout": 2.0}
    return kafka.Kafka(**(known | {"write_timeout": 2.0} | changes))


def action(topic: str, **changes: Any) -> kafka.KafkaRecord:
    return kafka.KafkaRecord(id="a", resource="kafka", topic=topic, **changes)


async def topics(server: Kafka) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{server.port}")
    await admin.start()
    found: list[str] = await admin.list_topics()
    await admin.close()
    return found


async def topic(server: Kafka, partitions: int = 3) -> str:
    name, admin = unique("t"), AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{server.port}")
    await admin.start()
    await admin.create_topics([NewTopic(name, partitions, 1)])
    await admin.close()
    return name


async def records(server: Kafka, name: str, least: int = 0) -> list[Any]:
    """Every record of a topic, which are so many at least. Tansu tells the ends of partitions late: what comes after
    them is waited for.
    """
    consumer = AIOKafkaConsumer(name, bootstrap_servers=f"127.0.0.1:{server.port}", auto_offset_reset="earliest")
    await consumer.start()
    found: list[Any] = []
    quiet = False
    while not quiet or len(found) < max(least, sum((await consumer.end_offsets(consumer.assignment())).values())):
        some = await consumer.getmany(timeout_ms=700)
        found += [record for part in some.values() for record in part]
        quiet = not some
    await consumer.stop()
    return found


def rows(count: int) -> list[Row]:
    return [{"n": n, "clientid": f"c{n % 5}", "timestamp": 1_700_000_000_000 + n} for n in range(count)]


def values(found: list[Any]) -> list[Row]:
    return sorted((json.loads(record.value) for record in found), key=lambda row: int(row["n"]))


async def test_records_are_there_in_order_of_their_keys(server: Kafka) -> None:
    name = await topic(server)
    to = action(name, partition_strategy="key_dispatch", kafka_headers={"kind": "row ${n}"})
    assert await ways.write(resource(server, compression="gzip"), to, *rows(1500)) == []
    found = await records(server, name, 1500)
    assert values(found) == rows(1500)
    for partition in range(3):
        for key in range(5):
            of_key = [r for r in found if r.partition == partition and r.key == f"c{key}".encode()]
            numbers = [json.loads(record.value)["n"] for record in of_key]
            assert numbers == sorted(numbers)
            assert len(numbers) in (0, 300)
    one = next(record for record in found if json.loads(record.value)["n"] == 7)
    assert (one.timestamp, one.headers) == (1_700_000_000_007, (("kind", b"row 7"),))


async def test_a_rule_that_gives_neither_client_nor_time(server: Kafka) -> None:
    name = await topic(server)
    assert action(name).paths() == ((),)
    assert await ways.write(resource(server), action(name), *({"n": n} for n in range(50))) == []
    found = await records(server, name, 50)
    assert {record.key for record in found} == {None}
    assert len({record.partition for record in found}) > 1


async def test_bad_rows_among_many(server: Kafka) -> None:
    name = await topic(server)
    sent = [{"n": n, "to": name} for n in range(60)]
    sent[5]["to"], sent[25]["text"], sent[40]["timestamp"] = "absent", "x" * 2_000_000, "soon"
    buried = await ways.write(resource(server), action("${to}"), *sent)
    assert [row["n"] for row, _ in buried] == [5, 25, 40]
    assert "absent" in buried[0][1]
    assert [row["n"] for row in values(await records(server, name, 57))] == [
        n for n in range(60) if n not in (5, 25, 40)
    ]
    assert "absent" not in await topics(server)


async def test_a_topic_that_is_not_there_yet_is_waited_for(server: Kafka) -> None:
    name, admin = unique("t"), AIOKafkaAdminClient(bootstrap_servers=f"127.0.0.1:{server.port}")
    async with ways.way(resource(server), action(name)) as one:
        one.add(*rows(10))
        await one.until(lambda: one.batcher.trouble is not None, "the writes fail")
        assert one.batcher.trouble is not None
        assert (one.batcher.trouble.hop, name in one.batcher.trouble.message) == ("statement", True)
        await admin.start()
        await admin.create_topics([NewTopic(name, 1, 1)])
        await admin.close()
        await one.drained()
    assert values(await records(server, name, 10)) == rows(10)


async def test_a_broker_that_dies_during_writes() -> None:
    """What it has is on S3, so that it outlives the process, as a cluster's disks do."""
    with Moto() as disks, Kafka(disks) as own:
        name, sent = await topic(own), rows(2000)
        await ways.outlive(own, resource(own), action(name, batch_size=50), sent)
        assert {row["n"] for row in values(await records(own, name, len(sent)))} == {row["n"] for row in sent}


async def test_it_passes_and_changes_nothing(server: Kafka) -> None:
    name = await topic(server)
    before = await topics(server)
    await probe(resource(server), [action(name), action("${x}")])
    assert await records(server, name) == []
    assert await topics(server) == before


async def test_each_hop_of_test(server: Kafka) -> None:
    assert (await failing(resource(server, bootstrap_hosts="no-such-host.invalid"))).hop == "name"
    assert (await failing(resource(server, bootstrap_hosts=CLOSED))).hop == "tcp"
    assert (await failing(resource(server, ssl=Ssl(enable=True)), timeout=5)).hop == "tls"
    failed = await failing(resource(server), action("absent"))
    assert (failed.hop, "absent" in failed.message) == ("statement", True)
    assert "absent" not in await topics(server)


async def test_a_log_in_that_is_refused() -> None:
    with Kafka(None, "--authentication") as strict:
        for mechanism in ("scram_sha_256", "scram_sha_512"):
            failed = await failing(resource(strict, mechanism=mechanism, username="app", password="wrong"))
            assert failed.hop == "login", (failed.hop, failed.cause)


async def test_a_broker_that_advertises_what_cannot_be_reached() -> None:
    with Kafka(front=free_port()) as lost:
        failed = await failing(resource(lost))
        assert (failed.hop, f":{lost.front}" in failed.message) == ("address", True)


async def test_a_broker_is_reached_where_the_map_says() -> None:
    with Kafka(front=free_port()) as lost:
        found = {f"127.0.0.1:{lost.front}": f"127.0.0.1:{lost.port}"}
        await probe(resource(lost, address_map=found), (), 10)
        failed = await failing(resource(lost, address_map={"127.0.0.1:1": f"127.0.0.1:{lost.port}"}))
        assert failed.hop == "address"


async def test_tls_with_a_client_certificate() -> None:
    authority = Authority()
    client = authority.sign("device")
    pair: dict[str, Any] = {"cert": client.cert, "key": client.key}
    known: dict[str, Any] = {"enable": True, "cacert": authority.cert, "server_name": SERVER_NAME}
    front = Front(authority=authority)
    with Kafka(front=front.port) as server:
        front.target = server.port
        with front:
            secured = resource(front, ssl=Ssl(**known, **pair), allow_auto_topic_creation=True)
            await probe(secured)
            assert await ways.write(secured, action("secret"), *rows(10)) == []
            for ssl in (known, known | pair | {"server_name": "x.y"}, known | pair | {"cacert": Authority("b").cert}):
                failed = await failing(resource(front, ssl=Ssl(**ssl)))
                assert (failed.hop, "no answer" in failed.cause) == ("tls", False)
        await asyncio.to_thread(server.stop)
