"""What stays with the broker between two lives of the integration, and what must not."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import psycopg
import pytest
import uvloop

from integration.world import flow
from servers import START_SECONDS, Mosquitto, PostgreSQL, wait_until
from tieline.integration.config import shapes as config
from tieline.integration.delivery.lane import QUIET_SECONDS
from tieline.integration.messages.message import Message
from tieline.integration.mqtt import session
from tieline.integration.mqtt.session_store import Memory
from tieline.integration.worker import pipeline

pytestmark = pytest.mark.world


def everything(target: str, *filters: str) -> tuple[config.Rule, ...]:
    """A rule for each filter, all into one table."""
    return tuple(
        flow.rule(target, sql=f'SELECT payload.device as device, 1 as temp, timestamp FROM "{f}"', id=f"r{n}")
        for n, f in enumerate(filters)
    )


async def test_rules_that_overlap_get_each_message_once(postgresql: PostgreSQL, mosquitto: Mosquitto) -> None:
    """Mosquitto delivers a message once for each subscription that matches."""
    target = flow.table(postgresql)
    rules = everything(target, "o/+/x", "o/b/+", "o/b/#")
    what = config.Config(resources=(flow.resource(postgresql),), rules=rules)
    async with flow.running(flow.broker(mosquitto), what):
        await asyncio.to_thread(flow.publish, mosquitto, [("o/b/x", {"device": "a"}), ("o/c/x", {"device": "b"})])
        await flow.eventually(lambda: len(flow.devices(postgresql, target)) >= 4, "rows")
        await asyncio.sleep(0.2)
        assert flow.devices(postgresql, target) == ["a", "a", "a", "b"]


async def test_messages_wait_while_nobody_is_there(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    target = flow.table(postgresql)
    what = config.Config(resources=(flow.resource(postgresql),), rules=everything(target, "w/#"))
    where = flow.broker(mosquitto)
    async with flow.running(where, what, tmp_path):
        pass
    await asyncio.to_thread(flow.publish, mosquitto, [("w/1", {"device": str(n)}) for n in range(500)])
    async with flow.running(where, what, tmp_path):
        await flow.eventually(lambda: len(flow.devices(postgresql, target)) == 500, "what was published meanwhile")


async def test_who_leaves_takes_what_the_broker_still_has_for_it(postgresql: PostgreSQL) -> None:
    """A broker that has too much to do says nothing for a while, and is not done."""
    target = flow.table(postgresql)
    what = config.Config(resources=(flow.resource(postgresql),), rules=everything(target, "l/#"))
    with Mosquitto() as server:
        async with flow.running(flow.broker(server, receive_maximum=5), what) as running:
            lane = running._stations["pg"].lane
            with psycopg.connect(postgresql.dsn) as holder:
                await asyncio.to_thread(holder.execute, f"lock table {target} in access exclusive mode".encode())
                await asyncio.to_thread(flow.publish, server, [("l/1", {"device": str(n)}) for n in range(50)])
                await flow.eventually(lambda: lane.pending == 5, "what it may have in hand")
                leaving = asyncio.create_task(running.dismiss(60))
                await flow.eventually(lambda: not lane.session.subscriptions.wanted, "its leave")
                server.signal(signal.SIGSTOP)
            await flow.eventually(lambda: lane.pending == 0, "the rows in hand")
            await asyncio.wait({leaving}, timeout=3 * QUIET_SECONDS)
            server.signal(signal.SIGCONT)
            await leaving
        assert flow.devices(postgresql, target) == sorted(str(n) for n in range(50))


async def test_a_subscription_of_a_former_life_is_given_up(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """Else a rule whose topic was changed while nobody ran would get messages twice."""
    target = flow.table(postgresql)
    where, resources = flow.broker(mosquitto), (flow.resource(postgresql),)
    async with flow.running(where, config.Config(resources=resources, rules=everything(target, "f/#")), tmp_path):
        pass
    later = config.Config(resources=resources, rules=everything(target, "f/+/x"))
    async with flow.running(where, later, tmp_path) as running:
        memory = running._memory
        await flow.eventually(lambda: memory.filters(f"{where.client_id}-pg") == {"f/+/x"}, "the broker's answer")
        await asyncio.to_thread(flow.publish, mosquitto, [("f/1/x", {"device": "a"})])
        await flow.eventually(lambda: bool(flow.devices(postgresql, target)), "a row")
        await asyncio.sleep(0.2)
        assert flow.devices(postgresql, target) == ["a"]


async def test_the_session_of_a_removed_resource_ends(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed while we run, or while we do not: the broker is told to forget it either way."""
    target = flow.table(postgresql)
    resources = (flow.resource(postgresql), flow.resource(postgresql, id="second"))
    action = config.Sql(id="w", resource="second", sql=f"insert into {target}(device) values (${{device}})")
    other = config.Rule(id="s", sql='SELECT payload.device as device FROM "g/#"', actions=(action,))
    where = flow.broker(mosquitto)
    both = config.Config(version=1, resources=resources, rules=(*everything(target, "g/#"), other))
    async with flow.running(where, both, tmp_path) as running:
        await running.apply(config.Config(version=2, resources=resources[:1], rules=both.rules[:1]))
        await flow.eventually(lambda: running._memory.clients() == [f"{where.client_id}-pg"], "the second is forgotten")
    monkeypatch.setattr(pipeline, "SWEEP_SECONDS", 0.05)
    async with flow.running(where, config.Config(version=3), tmp_path) as running:
        await asyncio.to_thread(wait_until, lambda: not running._memory.clients(), "the first is forgotten")
    async with flow.running(where, both, tmp_path):
        pass


def test_what_is_safe_when_nobody_knows_yet_that_the_broker_is_gone(
    mosquitto: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing is read, a lost connection is seen late; uvloop, under which workers run, raises for a write."""
    monkeypatch.setattr(session, "LOOK_SECONDS", 600.0)
    where, taken, held = flow.broker(mosquitto), list[Message](), list[Message]()

    def receive(messages: list[Message]) -> None:
        taken.extend(messages)
        held.extend(messages)

    async def scenario() -> None:
        one = session.Session(where, where.client_id, receive, lambda: held, Memory())
        one.subscribe(["late/#"])
        running = asyncio.create_task(one.run())
        async with asyncio.timeout(START_SECONDS):
            await one.subscribed.wait()
        one.read(False)  # after what is being waited for
        await asyncio.to_thread(flow.publish, mosquitto, [("late/1", "first")])
        await flow.eventually(lambda: len(taken) == 1, "the message")
        assert one._writer is not None
        one._writer.transport.abort()
        await flow.eventually(lambda: one._writer is not None and one._writer.transport.is_closing(), "the loss")
        await asyncio.sleep(0.1)
        assert one.connected
        one.acknowledge([held.pop()])
        one.read(True)
        await flow.eventually(lambda: one.subscribed.is_set() and not one._deliveries.expected, "told to the broker")
        await asyncio.to_thread(flow.publish, mosquitto, [("late/1", "second")])
        await flow.eventually(lambda: len(taken) > 1, "the next message")
        running.cancel()
        await one.close(forget=True)

    uvloop.run(scenario())
    assert [message.payload for message in taken] == [b'"first"', b'"second"']


async def test_a_broker_that_hangs_up_on_the_end_of_a_session_leaves_no_connection_open() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        broker = config.Broker(host="127.0.0.1", port=port, client_id="c")
        one = session.Session(broker, "c", lambda _: None, tuple, Memory())
        with pytest.raises((OSError, IndexError)):
            await one.end()
        assert one._writer is None
