"""Flows to a failed target are reset once; new ones, even to the same target, go on."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from tieline.fabric.core.topology import Severance, Target, Vpc
from world.kernel.conftest import CLIENT, FIRST, NODE, PORT, SECOND, World, listener, provider, receive, send

pytestmark = pytest.mark.world


def ending(vpc: Vpc, *severed: tuple[str, str]) -> Vpc:
    """The VPC whose node ends the flows to targets, since a time each."""
    ended = tuple(Severance(target=Target(address=a, port=PORT), since=since) for a, since in severed)
    return replace(vpc, nodes=(replace(vpc.nodes[0], severed=ended),))


async def test_a_failed_targets_flows_are_reset_and_no_others(world: World) -> None:
    joined = await world.link(b=provider(listener("10.0.0.10", "10.0.0.11")))
    servers = {FIRST: await world.serve(FIRST), SECOND: await world.serve(SECOND)}
    connections = [await world.connect(CLIENT) for _ in range(16)]
    names = [(await receive(one)).decode().strip() for one in connections]
    direct = await world.connect(SECOND, "10.0.0.10")  # past the balancer: none of its business
    assert await world.kernel.converge_vpc(ending(provider(listener("10.0.0.11")), ("10.0.0.10", "1")), [], [joined])
    for name, connection in zip(names, connections, strict=True):
        if name == FIRST:
            with pytest.raises(ConnectionResetError):
                await receive(connection)
        else:
            await send(connection, b"still here")
            assert await receive(connection) == b"still here"
        connection.close()
    async with asyncio.timeout(30):
        while len(servers[FIRST].open) > 1:
            await asyncio.sleep(0.01)
    await receive(direct)
    await send(direct, b"direct")
    assert await receive(direct) == b"direct"
    direct.close()


async def test_flows_that_begin_after_the_failure_go_on(world: World) -> None:
    """A balancer that fails open sends new flows to the target whose old ones it ended."""
    failed = ending(provider(), ("10.0.0.10", "1"))
    joined = await world.link(b=failed)
    await world.serve(FIRST)
    with await world.connect(CLIENT) as connection:
        await receive(connection)
        assert not await world.kernel.converge_vpc(failed, [], [joined])
        other = ending(provider(listener("10.0.0.10"), listener("10.0.0.10", port=80)), ("10.0.0.10", "1"))
        assert await world.kernel.converge_vpc(other, [], [joined])
        await send(connection, b"still here")
        assert await receive(connection) == b"still here"
        assert await world.kernel.converge_vpc(ending(provider(), ("10.0.0.10", "2")), [], [joined])
        with pytest.raises(ConnectionResetError):
            await receive(connection)


async def test_datagrams_flows_are_forgotten_too(world: World) -> None:
    one = replace(listener("10.0.0.10"), protocol="udp", idle_timeout=120)
    await world.kernel.converge_vpc(provider(one))
    await world.run(
        SECOND, "sh", "-c", f"echo hello > /dev/udp/{NODE}/{PORT} || bash -c 'echo > /dev/udp/{NODE}/{PORT}'"
    )
    assert NODE in await world.run("vpc-b", "conntrack", "-L", "-p", "udp")
    await world.kernel.converge_vpc(ending(provider(one), ("10.0.0.10", "1")))
    assert NODE not in await world.run("vpc-b", "conntrack", "-L", "-p", "udp")


async def test_a_source_sticks_to_its_target_and_moves_only_if_it_must(world: World) -> None:
    both = replace(listener("10.0.0.10", "10.0.0.11"), sticky=True)
    joined = await world.link(b=provider(both))
    await world.serve(FIRST)
    await world.serve(SECOND)
    assert len(set(await asyncio.gather(*(world.greeting(CLIENT) for _ in range(12))))) == 1
    favourite = await world.greeting(CLIENT)
    unhurt = "10.0.0.10" if favourite == FIRST else "10.0.0.11"
    await world.kernel.converge_vpc(provider(replace(listener(unhurt), sticky=True)), [], [joined])
    assert await world.greeting(CLIENT) == favourite
    await world.kernel.converge_vpc(provider(both), [], [joined])
    assert set(await asyncio.gather(*(world.greeting(CLIENT) for _ in range(6)))) == {favourite}
