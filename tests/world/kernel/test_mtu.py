"""A link of a smaller MTU behind the wire, as an attached network may have, is no black hole."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from tieline.fabric.kernel.system.names import host_link
from world.kernel.conftest import CLIENT, FIRST, World, receive

pytestmark = pytest.mark.world
SMALL = 1200  # bytes; hosts on both sides know of 1500 only
AMOUNT = 300_000


async def test_segments_fit_a_small_link_that_no_end_knows_of(world: World) -> None:
    await world.link()
    await world.serve(FIRST)
    await world.run("vpc-b", "ip", "link", "set", host_link(FIRST), "mtu", str(SMALL))
    assert "mtu 1500" in await world.run(FIRST, "ip", "link", "show", "type", "veth")
    data = secrets.token_bytes(AMOUNT)
    with await world.connect(CLIENT) as connection:
        await receive(connection)
        sending = asyncio.create_task(asyncio.get_running_loop().sock_sendall(connection, data))
        back = b""
        while len(back) < AMOUNT:
            back += await receive(connection)
        await sending
    assert back == data
