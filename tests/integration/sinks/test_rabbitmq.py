"""RabbitMQ: messages confirmed and read back, a broker that dies, what comes back or is refused, each hop of Test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import aiormq
import pytest

from brokers import SERVER_NAME, RabbitMQ
from certificates import Authority
from integration.sinks import ways
from integration.sinks.trying import CLOSED, failing
from integration.world.flow import unique
from tieline.integration.config.shapes import Ssl
from tieline.integration.sinks.rabbitmq import sink as rabbitmq
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world
Row = dict[str, Any]
AUTHORITY = Authority()


@pytest.fixture(scope="module")
def server() -> Iterator[RabbitMQ]:
    with RabbitMQ(AUTHORITY) as made:
        yield made


def resource(server: RabbitMQ, /, **changes: Any) -> rabbitmq.RabbitMQ:
    known: dict[str, Any] = {"id": "rabbit", "server": f"127.0.0.1:{server.port}", "connect_timeout": 5.0}
    return rabbitmq.RabbitMQ(**(known | {"username": server.user, "password": server.password} | changes))


def action(key: str, **changes: Any) -> rabbitmq.RabbitMessage:
    return rabbitmq.RabbitMessage(id="a", resource="rabbit", routing_key=key, **changes)


async def connect(server: RabbitMQ) -> Any:
    return await aiormq.connect(f"amqp://{server.user}:{server.password}@127.0.0.1:{server.port}/")


async def queue(server: RabbitMQ, exchange: str = "", key: str = "#", arguments: Row | None = None) -> str:
    """A new durable queue, bound to a topic exchange where one is named."""
    name, connection = unique("q"), await connect(server)
    channel = await connection.channel()
    await channel.queue_declare(name, durable=True, arguments=arguments)
    if exchange:
        await channel.exchange_declare(exchange, exchange_type="topic", durable=True)
        await channel.queue_bind(name, exchange, key)
    await connection.close()
    return name


async def taken(server: RabbitMQ, name: str) -> list[Any]:
    """Every message of a queue, in order, taken out of it."""
    connection = await connect(server)
    channel = await connection.channel()
    found = []
    while (message := await channel.basic_get(name, no_ack=True)).body or message.delivery_tag:
        found.append(message)
    await connection.close()
    return found


def rows(count: int) -> list[Row]:
    return [{"n": n, "text": f"text {n}"} for n in range(count)]


def bodies(messages: list[Any]) -> list[Row]:
    return [json.loads(message.body) for message in messages]


async def test_messages_are_in_a_queue_in_order(server: RabbitMQ) -> None:
    name = await queue(server)
    assert await ways.write(resource(server), action(name, headers={"kind": "row ${n}"}), *rows(1500)) == []
    found = await taken(server, name)
    assert bodies(found) == rows(1500)
    properties = found[7].header.properties
    assert (properties.headers["kind"], properties.delivery_mode) == ("row 7", 2)


async def test_an_exchange_and_keys_that_rows_name(server: RabbitMQ) -> None:
    exchange = unique("x")
    name = await queue(server, exchange, "good.*")
    sent = [{"n": n, "to": "bad" if n == 5 else "y" * 300 if n == 7 else "good"} for n in range(20)]
    to = action("${to}.${n}", exchange=exchange)
    buried = await ways.write(resource(server), to, *sent)
    assert [row["n"] for row, _ in buried] == [5, 7]
    assert "NO_ROUTE" in buried[0][1]
    assert bodies(await taken(server, name)) == [row for row in sent if row["to"] == "good"]


async def test_a_queue_that_is_not_there_yet_is_waited_for(server: RabbitMQ) -> None:
    exchange = unique("x")
    await queue(server, exchange, "elsewhere")
    async with ways.way(resource(server), action("here", exchange=exchange)) as one:
        one.add(*rows(10))
        await one.until(lambda: one.batcher.trouble is not None, "the writes fail")
        assert one.batcher.trouble is not None
        assert (one.batcher.trouble.hop, "no queue takes" in one.batcher.trouble.message) == ("statement", True)
        name = await queue(server, exchange, "here")
        await one.drained()
    assert bodies(await taken(server, name)) == rows(10)


async def test_a_queue_that_is_full_is_waited_for(server: RabbitMQ) -> None:
    name = await queue(server, arguments={"x-max-length": 3, "x-overflow": "reject-publish"})
    found: list[Any] = []
    async with ways.way(resource(server), action(name)) as one:
        one.add(*rows(20))
        await one.until(lambda: one.batcher.trouble is not None, "the writes fail")
        assert one.batcher.trouble is not None
        assert one.batcher.trouble.hop == "database"
        while len({row["n"] for row in bodies(found)}) < 20:
            found += await taken(server, name)
        await one.drained()
        assert not one.buried
    found += await taken(server, name)
    assert sorted(row["n"] for row in bodies(found)) == list(range(20))


async def test_a_broker_that_dies_during_writes() -> None:
    with RabbitMQ() as own:
        name, sent = await queue(own), rows(2000)
        await ways.outlive(own, resource(own), action(name, batch_size=50), sent)
        assert {row["n"] for row in bodies(await taken(own, name))} == {row["n"] for row in sent}


async def test_it_passes_and_changes_nothing(server: RabbitMQ) -> None:
    exchange = unique("x")
    name = await queue(server, exchange)
    tried = [action(name), action("${x}"), action("key", exchange=exchange), action("k", exchange="${x}")]
    await probe(resource(server), tried)
    assert await taken(server, name) == []


async def test_each_hop_of_test(server: RabbitMQ) -> None:
    assert (await failing(resource(server, server="no-such-host.invalid"))).hop == "name"
    assert (await failing(resource(server, server=CLOSED))).hop == "tcp"
    assert (await failing(resource(server, password="wrong"))).hop == "login"
    assert (await failing(resource(server, virtual_host="absent"))).hop == "database"
    assert (await failing(resource(server, ssl=Ssl(enable=True)))).hop == "tls"
    assert (await failing(resource(server, server=f"127.0.0.1:{server.tls_port}"))).hop == "tls"
    for missing in (action("absent"), action("x", exchange="absent")):
        failed = await failing(resource(server), missing)
        assert (failed.hop, "absent" in failed.message) == ("statement", True)


async def test_tls_with_a_client_certificate(server: RabbitMQ) -> None:
    client = AUTHORITY.sign("device")
    pair: dict[str, Any] = {"cert": client.cert, "key": client.key}
    known: dict[str, Any] = {"enable": True, "cacert": AUTHORITY.cert, "server_name": SERVER_NAME}
    secured = resource(server, server=f"127.0.0.1:{server.tls_port}", ssl=Ssl(**known, **pair))
    await probe(secured)
    name = await queue(server)
    assert await ways.write(secured, action(name), *rows(10)) == []
    assert bodies(await taken(server, name)) == rows(10)
    for ssl in (known, known | pair | {"server_name": "x.example"}, known | pair | {"cacert": Authority("b").cert}):
        failed = await failing(resource(server, server=f"127.0.0.1:{server.tls_port}", ssl=Ssl(**ssl)))
        assert (failed.hop, "no answer" in failed.cause) == ("tls", False)


async def test_an_alarm_is_waited_for_and_doubles_nothing(server: RabbitMQ) -> None:
    """Longer than a write may take; Test says so meanwhile."""
    name = await queue(server)
    what = resource(server, write_timeout=1.0)
    async with ways.way(what, action(name, batch_size=10)) as one:
        one.add(*rows(20))
        await one.drained()
        await asyncio.to_thread(server.control, "set_vm_memory_high_watermark", "absolute", "1")
        try:
            one.add(*rows(20), *rows(20))
            failed = await failing(what, action(name))
            assert (failed.hop, "alarm" in failed.message) == ("database", True)
            await asyncio.sleep(3)  # thrice the time that a write has: who would send again does it now
            assert one.done < 60
        finally:
            await asyncio.to_thread(server.control, "set_vm_memory_high_watermark", "0.9")
        await one.drained()
        assert not one.buried
    assert len(await taken(server, name)) == 60


async def test_a_user_who_may_not_publish(server: RabbitMQ) -> None:
    exchange, user = unique("x"), unique("u")
    name = await queue(server, exchange)
    await asyncio.to_thread(server.control, "add_user", user, "p")
    await asyncio.to_thread(server.control, "set_permissions", "-p", "/", user, ".*", "", ".*")
    failed = await failing(resource(server, username=user, password="p"), action("k", exchange=exchange))
    assert (failed.hop, "write" in failed.hint) == ("statement", True)
    await probe(resource(server), [action("k", exchange=exchange)])
    assert await taken(server, name) == []
