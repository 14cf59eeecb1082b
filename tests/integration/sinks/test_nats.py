"""NATS with JetStream: messages stored and read back, a server that dies, what is refused, and each hop of Test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import nats as library
import pytest

from brokers import SERVER_NAME, Nats
from certificates import Authority
from integration.sinks import ways
from integration.sinks.trying import CLOSED, failing
from integration.world.flow import unique
from tieline.integration.config.shapes import Ssl
from tieline.integration.sinks.nats import sink as nats
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world
Row = dict[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Nats]:
    with Nats() as made:
        yield made


def resource(server: Nats, /, **changes: Any) -> nats.Nats:
    known: dict[str, Any] = {"id": "nats", "servers": f"127.0.0.1:{server.port}", "connect_timeout": 2.0}
    return nats.Nats(**(known | {"username": server.user, "password": server.password} | changes))


def action(subject: str, **changes: Any) -> nats.NatsMessage:
    return nats.NatsMessage(id="a", resource="nats", subject=subject, **changes)


async def connect(server: Nats, **options: Any) -> Any:
    url = f"nats://127.0.0.1:{server.port}"
    return await library.connect(url, user=server.user, password=server.password, **options)


async def stream(server: Nats, **settings: Any) -> str:
    """A new stream on disk, which takes its name and whatever follows it after a dot."""
    name, client = unique("s"), await connect(server)
    await client.jetstream().add_stream(name=name, subjects=[name, f"{name}.>"], storage="file", **settings)
    await client.close()
    return name


async def stored(server: Nats, name: str) -> list[Any]:
    """Every message of a stream, in order."""
    client = await connect(server)
    try:
        manager = client.jetstream()
        state = (await manager.stream_info(name)).state
        return [await manager.get_msg(name, seq) for seq in range(max(1, state.first_seq), state.last_seq + 1)]
    finally:
        await client.close()


def rows(count: int) -> list[Row]:
    return [{"n": n, "text": f"text {n}"} for n in range(count)]


async def test_messages_are_stored_in_order(server: Nats) -> None:
    name = await stream(server)
    to = action(f"{name}.${{n}}", headers={"kind": "row ${n}"})
    assert await ways.write(resource(server), to, *rows(2500)) == []
    found = await stored(server, name)
    assert [json.loads(message.data) for message in found] == rows(2500)
    assert (found[7].subject, found[7].headers["kind"]) == (f"{name}.7", "row 7")


async def test_a_message_id_makes_doubles_one(server: Nats) -> None:
    name = await stream(server)
    to = action(name, message_id="${n}")
    await ways.write(resource(server), to, *rows(20))
    await ways.write(resource(server), to, *rows(30))
    assert [json.loads(message.data) for message in await stored(server, name)] == rows(30)


async def test_bad_rows_among_many(server: Nats) -> None:
    name = await stream(server, max_msg_size=10_000)
    bad = [
        {"n": 1, "to": "x y"},
        {"n": 2, "to": "a", "text": "x" * 20_000},
        {"n": 3, "to": "a", "text": "x" * 2_000_000},
    ]
    good = [{"n": n, "to": "b"} for n in range(10, 40)]
    buried = await ways.write(resource(server), action(f"{name}.${{to}}"), *good[:9], *bad, *good[9:])
    assert sorted(row["n"] for row, _ in buried) == [1, 2, 3]
    assert all(error for _, error in buried)
    assert [json.loads(message.data) for message in await stored(server, name)] == good


async def test_a_subject_of_a_row_that_no_stream_takes(server: Nats) -> None:
    name = await stream(server)
    to = [{"to": name}, {"to": unique("nowhere")}, {"to": f"{name}.x"}]
    [(row, error)] = await ways.write(resource(server), action("${to}"), *to)
    assert (row, "no stream" in error) == (to[1], True)
    assert len(await stored(server, name)) == 2


async def test_a_server_that_dies_during_writes() -> None:
    with Nats() as own:
        name = await stream(own)
        sent = rows(4000)
        await ways.outlive(own, resource(own), action(name, batch_size=50), sent)
        assert {json.loads(message.data)["n"] for message in await stored(own, name)} == {row["n"] for row in sent}


@pytest.fixture
async def heard(server: Nats) -> AsyncIterator[tuple[str, list[Any]]]:
    """A subject, and what a listener hears on it."""
    subject, got, client = unique("subject"), [], await connect(server)

    async def take(message: Any) -> None:
        got.append(json.loads(message.data))

    await client.subscribe(subject, cb=take)
    await client.flush()
    yield subject, got
    await client.close()


async def test_without_a_stream_listeners_hear_it(server: Nats, heard: tuple[str, list[Any]]) -> None:
    subject, got = heard
    assert await ways.write(resource(server), action(subject, jetstream=False), *rows(500)) == []
    async with asyncio.timeout(ways.SECONDS):
        while len(got) < 500:
            await asyncio.sleep(0.01)
    assert got == rows(500)


async def test_it_passes_and_changes_nothing(server: Nats) -> None:
    name = await stream(server)
    await probe(resource(server), [action(name), action(f"{name}.${{x}}"), action("x", jetstream=False)])
    assert await stored(server, name) == []


async def test_each_hop_of_test(server: Nats) -> None:
    assert (await failing(resource(server, servers="no-such-host.invalid:4222"))).hop == "name"
    assert (await failing(resource(server, servers=CLOSED))).hop == "tcp"
    assert (await failing(resource(server, password="wrong"))).hop == "login"
    assert (await failing(resource(server, ssl=Ssl(enable=True)))).hop == "tls"
    failed = await failing(resource(server), action("absent"))
    assert (failed.hop, "absent" in failed.message) == ("statement", True)


async def test_tls_with_a_client_certificate() -> None:
    authority = Authority()
    with Nats(authority) as server:
        client = authority.sign("device")
        known: dict[str, Any] = {"enable": True, "cacert": authority.cert, "server_name": SERVER_NAME}
        pair: dict[str, Any] = {"cert": client.cert, "key": client.key}
        await probe(resource(server, ssl=Ssl(**known, **pair)))
        nobody = await failing(resource(server, ssl=Ssl(**known)))
        assert (nobody.hop, "no answer" in nobody.cause) == ("tls", False)
        assert (await failing(resource(server, ssl=Ssl(**(known | {"server_name": "x.example"}), **pair)))).hop == "tls"
        assert (
            await failing(resource(server, ssl=Ssl(**(known | {"cacert": Authority("b").cert}), **pair)))
        ).hop == "tls"
        assert (await failing(resource(server))).hop == "tls"
