"""Bytes cross a wire between two VPCs with the same addresses, one way, through the listeners' ports alone."""

from __future__ import annotations

from collections import Counter

import pytest

from world.kernel.conftest import ENDPOINT, FIRST, NODE, SECOND, World, listener, provider, receive, send, wire, CLIENT

pytestmark = pytest.mark.world


async def test_bytes_cross_and_the_target_sees_the_node(world: World) -> None:
    joined = await world.link()
    server = await world.serve(FIRST)
    with await world.connect(CLIENT) as connection:
        assert await receive(connection) == b"i-first\n"
        await send(connection, b"select 1")
        assert await receive(connection) == b"select 1"
    assert server.peers == [NODE]
    traffic = await world.kernel.counters(joined)
    assert traffic.bytes_to_provider > 8 and traffic.bytes_to_consumer > 16
    assert traffic.packets_to_provider >= 4 and traffic.packets_to_consumer >= 3
