"""Withdrawn consent: flows end with a reset within a quarter of a second, idle ones too, and nothing passes later."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from contextlib import suppress

import pytest
from msgspec.structs import replace

from tieline.fabric.core.topology import Target
from tieline.fabric.kernel.cut import Side
from tieline.fabric.kernel.nft import flows
from tieline.fabric.kernel.system import names
from world.kernel.conftest import (
    CLIENT,
    ENDPOINT,
    FIRST,
    NODE,
    PORT,
    SECOND,
    World,
    consumer,
    listener,
    provider,
    receive,
    send,
    wire,
)

pytestmark = pytest.mark.world
LIMIT = 0.25  # seconds from the call to the last flow's end
COMMANDS = 40  # of conntrack's take as long as it does at rest: where these take longer, so may it
TRIES = 3  # for a machine that is busy with something else
log = logging.getLogger(__name__)


async def test_idle_and_active_flows_are_reset_at_once(world: World) -> None:
    await world.link()
    server = await world.serve(FIRST)
    for _ in range(TRIES):
        took = await _cut_under_load(world)
        await _server_sees_the_end(server.open)
        limit = max(LIMIT, COMMANDS * await _pace(world))
        log.warning("the last flow died after %.0f ms of %.0f", took * 1000, limit * 1000)
        if took < limit:
            return
    raise AssertionError(f"each of {TRIES} times too late, {took:.3f} s at last")


async def _pace(world: World) -> float:
    """How long a command in a VPC takes now."""
    began = time.monotonic()
    await world.run("vpc-a", "conntrack", "-C")
    return time.monotonic() - began


async def _cut_under_load(world: World) -> float:
    """Seconds from the call until the last of five idle flows and a busy one has ended with a reset."""
    joined = await world.link()
    idle = [await world.connect(CLIENT) for _ in range(5)]
    active = await world.connect(CLIENT)
    for connection in (*idle, active):
        await receive(connection)
    deaths = [asyncio.create_task(_talk(active)), *(asyncio.create_task(_death(connection)) for connection in idle)]
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await world.kernel.cut_wire(joined, [Side(consumer()), Side(provider())])
    slowest = max(await asyncio.gather(*deaths)) - began
    for connection in (*idle, active):
        connection.close()
    return slowest


async def test_nothing_passes_after_the_cut(world: World) -> None:
    joined = await world.link()
    await world.serve(FIRST)
    assert await world.greeting(CLIENT) == "i-first"
    await world.kernel.cut_wire(joined, [Side(consumer()), Side(provider())])
    with pytest.raises(TimeoutError):
        await world.connect(CLIENT, seconds=0.3)
    for vpc in ("vpc-a", "vpc-b"):
        assert names.wire_link(joined.id) not in await world.run(vpc, "ip", "link")
        assert "169.254" not in await world.run(vpc, "nft", "list", "ruleset")
        assert "169.254" not in await world.run(vpc, "conntrack", "-L")
    assert (await world.kernel.observe()).wires == {}
    assert await world.greeting(SECOND, NODE) == "i-first", "the provider's own clients are not concerned"


async def test_other_wires_of_the_same_service_live_on(world: World) -> None:
    """A second consumer with the same endpoint address and a flow of its own."""
    first = wire()
    crossing = replace(first.crossings[0], near="169.254.8.2", far="169.254.8.3")
    second = replace(wire(id="vpce-2", ends=("vpc-c", "vpc-b")), crossings=(crossing,))
    other = consumer("vpc-c")
    other = replace(other, hosts=(replace(other.hosts[0], id="i-other"),))
    await world.kernel.converge_vpc(consumer(), [first])
    await world.kernel.converge_vpc(other, [second])
    await world.kernel.converge_vpc(provider(), [], [first, second])
    for joined in (first, second):
        await world.kernel.converge_wire(joined)
    await world.serve(FIRST)
    with await world.connect(CLIENT) as gone, await world.connect("i-other") as kept:
        await receive(gone)
        await receive(kept)
        await world.kernel.cut_wire(first, [Side(consumer()), Side(provider(), (), [second])])
        with pytest.raises(ConnectionResetError):
            await receive(gone)
        await send(kept, b"alive")
        assert await receive(kept) == b"alive"
    assert await world.greeting("i-other") == "i-first"


async def test_a_peer_that_has_just_answered_another_nudge_is_reset_by_the_last(world: World) -> None:
    """TCP gives one such answer in 500 ms, and a keepalive may have had it."""
    joined = await world.link()
    await world.serve(FIRST)
    with await world.connect(CLIENT) as connection:
        await receive(connection)
        (flow,) = flows.parse(await world.run("vpc-a", "conntrack", "-L", "-p", "tcp"))
        await flows.reset(world.namespace("vpc-a"), flows.to_client(flow))
        await world.kernel.cut_wire(joined, [Side(consumer()), Side(provider())])
        with pytest.raises(ConnectionResetError):
            await receive(connection)


async def test_flows_are_reset_even_after_the_endpoint_has_gone(world: World) -> None:
    joined = await world.link()
    await world.serve(FIRST)
    without = replace(consumer(), addresses=())
    with await world.connect(CLIENT) as connection:
        await receive(connection)
        await world.kernel.converge_vpc(without)
        assert ENDPOINT not in await world.run("vpc-a", "ip", "address")
        await world.kernel.cut_wire(joined, [Side(without), Side(provider())])
        with pytest.raises(ConnectionResetError):
            await receive(connection)
    assert ENDPOINT not in await world.run("vpc-a", "ip", "address")


async def test_a_vpcs_wire_to_itself_is_cut_too(world: World) -> None:
    looped = wire(ends=("vpc-b", "vpc-b"))
    await world.kernel.converge_vpc(provider(), [looped], [looped])
    await world.kernel.converge_wire(looped)
    await world.serve(FIRST)
    with await world.connect(SECOND, ENDPOINT) as connection:
        await receive(connection)
        await world.kernel.cut_wire(looped, [Side(provider())])
        with pytest.raises(ConnectionResetError):
            await receive(connection)
    with pytest.raises((TimeoutError, OSError)):
        await world.connect(SECOND, ENDPOINT, PORT, 0.3)


async def test_a_wire_whose_consumer_is_gone_is_cut(world: World) -> None:
    joined = await world.link()
    await world.serve(FIRST)
    await world.kernel.remove_vpc("vpc-a")
    await world.kernel.cut_wire(joined, [Side(provider())])
    assert (await world.kernel.observe()).wires == {}
    assert "169.254" not in await world.run("vpc-b", "nft", "list", "ruleset")


async def test_a_failed_targets_flows_are_reset_and_no_others(world: World) -> None:
    joined = await world.link(b=provider(listener("10.0.0.10", "10.0.0.11")))
    await world.serve(FIRST)
    await world.serve(SECOND)
    connections = [await world.connect(CLIENT) for _ in range(16)]
    answers = [(await receive(connection)).decode().strip() for connection in connections]
    await world.kernel.converge_vpc(provider(listener("10.0.0.11")), [], [joined])
    count = await world.kernel.reset_target("vpc-b", NODE, Target(address="10.0.0.10", port=PORT))
    assert count == answers.count("i-first") > 0
    for connection, answer in zip(connections, answers, strict=True):
        if answer == "i-first":
            with pytest.raises(ConnectionResetError):
                await receive(connection)
        else:
            await send(connection, b"alive")
            assert await receive(connection) == b"alive"
        connection.close()


async def _death(connection: socket.socket) -> float:
    """When an idle client learns that its connection is gone."""
    with suppress(ConnectionResetError):
        while await receive(connection):
            pass
        raise AssertionError("the connection ended in good order")
    return time.monotonic()


async def _talk(connection: socket.socket) -> float:
    try:
        while True:
            await send(connection, b"x" * 1000)
            await receive(connection)
    except ConnectionResetError:
        return time.monotonic()


async def _server_sees_the_end(is_open: set[object]) -> None:
    async with asyncio.timeout(5):
        while is_open:
            await asyncio.sleep(0.01)
