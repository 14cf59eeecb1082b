"""Targets are told who their client is, by the PROXY protocol's header, and the wire stays what it was."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from fabric.kernel.test_proxy_header import Parsed, parse
from tieline.fabric.core.topology import Check, Listener, Vpc, Wire
from tieline.fabric.kernel.cut import Side
from tieline.fabric.kernel.relay import announcers
from tieline.fabric.kernel.system import commands
from tieline.fabric.kernel.system.names import Footprint
from world.clients.absent import absent
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
from world.kernel.test_groups import allows, at, guarded
from world.kernel.test_wire import silence

pytestmark = pytest.mark.world
BULK = 8 << 20  # bytes


class Receiver:
    """A server that reads the header, answers with the rest, and remembers whom it was told of."""

    def __init__(self) -> None:
        self.told: list[Parsed] = []
        self.peers: list[str] = []
        self.server: asyncio.Server | None = None

    async def start(self, world: World, id: str) -> Receiver:
        listening = await world.inside(id, partial(socket.create_server, ("0.0.0.0", PORT)))
        self.server = await asyncio.start_server(self._serve, sock=listening)
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer.get_extra_info("peername")[0])
        try:
            head = await reader.readexactly(16)
            self.told.append(parse(head + await reader.readexactly(int.from_bytes(head[14:16], "big"))))
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    def close(self) -> None:
        assert self.server is not None
        self.server.close()


def announced(*listeners: Listener) -> Vpc:
    return provider(*(replace(one, proxy_protocol=True) for one in listeners or (listener("10.0.0.10"),)))


def announcing(id: str = "vpce-0123456789abcdef0", ends: tuple[str, str] = ("vpc-a", "vpc-b")) -> Wire:
    made = wire(id=id, ends=ends)
    return replace(made, crossings=(replace(made.crossings[0], proxied=(PORT,)),))


def running(world: World) -> list[int]:
    """The process ids of the consumer's announcers."""
    found = announcers._running(Footprint(world.prefix, world.state))
    return [process.pid for process, owner in found if owner.vpc == "vpc-a"]


async def exchange(world: World, id: str, address: str = ENDPOINT) -> tuple[str, int]:
    """Send something and have it back; the client's own address."""
    with await world.connect(id, address) as connection:
        own: tuple[str, int] = connection.getsockname()
        await send(connection, b"select 1")
        assert await receive(connection) == b"select 1"
        return own


async def test_the_header_names_the_client_the_endpoint_and_its_id(world: World) -> None:
    joined = await world.link(b=announced(), joined=announcing())
    receiver = await Receiver().start(world, FIRST)
    own = await exchange(world, CLIENT)
    (told,) = receiver.told
    assert told.source == own and told.target == (ENDPOINT, PORT) and told.command == 1
    assert told.values[0xEA] == b"\x01vpce-0123456789abcdef0"
    assert receiver.peers == [NODE], "what the target sees of the network is the node, as ever"
    counted = (await world.kernel.meters(joined.consumer)).sets
    place = f"{joined.crossings[0].far} . tcp . {PORT}"
    assert counted["sent"][place].bytes > 100 and counted["received"][place].bytes > 0
    receiver.close()


async def test_clients_in_the_balancers_own_vpc_are_announced_at_the_node(world: World) -> None:
    await world.kernel.converge_vpc(announced(listener("10.0.0.10", "10.0.0.11")))
    receivers = [await Receiver().start(world, id) for id in (FIRST, SECOND)]
    owns = {await exchange(world, SECOND, NODE) for _ in range(12)}
    told = [one for receiver in receivers for one in receiver.told]
    assert {one.source for one in told} == owns and {one.target for one in told} == {(NODE, PORT)}
    assert all(receiver.told for receiver in receivers), "the node spreads them as it does others"
    assert not any(0xEA in one.values for one in told)
    for receiver in receivers:
        receiver.close()


async def test_a_wire_from_a_vpc_to_itself_is_announced_with_its_endpoint(world: World) -> None:
    looped, vpc = announcing(ends=("vpc-b", "vpc-b")), announced()
    await world.kernel.converge_vpc(vpc, [looped], [looped])
    await world.kernel.converge_wire(looped)
    receiver = await Receiver().start(world, FIRST)
    own = await exchange(world, SECOND)
    assert (receiver.told[0].source, receiver.told[0].target) == (own, (ENDPOINT, PORT))
    assert 0xEA in receiver.told[0].values
    receiver.close()


async def test_bulk_goes_through_whole_and_both_ways(world: World) -> None:
    await world.link(b=announced(), joined=announcing())
    receiver = await Receiver().start(world, FIRST)
    data = os.urandom(BULK)
    with await world.connect(CLIENT) as connection:
        sending = asyncio.create_task(send(connection, data))
        got = bytearray()
        while len(got) < BULK:
            got += await receive(connection, 30)
        await sending
    assert got == data
    receiver.close()


async def test_a_cut_wire_resets_what_was_announced(world: World) -> None:
    joined = await world.link(b=announced(), joined=announcing())
    receiver = await Receiver().start(world, FIRST)
    with await world.connect(CLIENT) as connection:
        await send(connection, b"x")
        assert await receive(connection) == b"x"
        await world.kernel.cut_wire(joined, [Side(consumer()), Side(announced())])
        with pytest.raises(ConnectionResetError):
            await receive(connection)
    await silence(world, CLIENT, (ENDPOINT, PORT))
    assert not running(world)
    receiver.close()


async def test_groups_are_asked_before_an_announcer_is(world: World) -> None:
    shut = guarded(consumer(), at("door", ENDPOINT, *allows("10.0.0.77")))
    await world.link(a=shut, b=announced(), joined=announcing())
    await silence(world, CLIENT, (ENDPOINT, PORT))


async def test_an_announcer_that_was_killed_is_started_again(world: World) -> None:
    joined = await world.link(b=announced(), joined=announcing())
    receiver = await Receiver().start(world, FIRST)
    (process,) = running(world)
    os.kill(process, 9)
    assert await world.kernel.converge_vpc(consumer(), [joined], [])
    await exchange(world, CLIENT)
    assert not await world.kernel.converge_vpc(consumer(), [joined], [])
    receiver.close()


async def test_it_can_be_turned_on_and_off(world: World) -> None:
    await world.link()
    await world.serve(FIRST)
    assert await world.greeting(CLIENT) == "i-first"
    await world.link(b=announced(), joined=announcing("vpce-1"))
    with await world.connect(CLIENT) as connection:
        first = await receive(connection)
        assert first + await receive(connection) if first == b"i-first\n" else first
    await world.link(joined=wire())
    assert await world.greeting(CLIENT) == "i-first"


async def test_a_node_without_targets_does_not_chase_its_own_tail(world: World) -> None:
    """The rules lead nowhere for a moment while the announcer stands: it refuses its own connection."""
    await world.kernel.converge_vpc(announced())
    await world.run("vpc-b", "nft", "flush", "map", "ip", "tieline", "announced")
    with await world.connect(SECOND, NODE) as connection, pytest.raises(ConnectionResetError):
        if not await receive(connection):
            raise ConnectionResetError


async def test_probes_say_that_they_are_nobodys(world: World) -> None:
    await world.kernel.converge_vpc(announced())
    receiver = await Receiver().start(world, FIRST)
    check = Check(
        vpc="vpc-b", source=NODE, address="10.0.0.10", port=PORT, protocol="TCP", timeout=5, proxy_protocol=True
    )
    assert (await world.kernel.probe(check)).passed
    async with asyncio.timeout(30):
        while not receiver.told:
            await asyncio.sleep(0.01)
    assert receiver.told[0].command == 0
    receiver.close()


HAPROXY = """
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
frontend told
  bind 0.0.0.0:{port} accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"
"""


async def test_haproxy_understands_it(world: World, tmp_path: Path) -> None:
    """A receiver that many put behind such a balancer; it verifies the checksum as well."""
    program = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        absent("HAProxy", "it is not installed: apt-get install haproxy")
    await world.link(b=announced(), joined=announcing())
    settings = tmp_path / "haproxy.cfg"
    settings.write_text(HAPROXY.format(port=PORT))
    enter = commands.entering(world.namespace(FIRST), program, "-q", "-db", "-f", str(settings))
    process = await asyncio.create_subprocess_exec(*enter)
    try:
        async with asyncio.timeout(30):
            check = Check(
                vpc="vpc-b",
                source=NODE,
                address="10.0.0.10",
                port=PORT,
                protocol="HTTP",
                timeout=5,
                proxy_protocol=True,
            )
            while not (await world.kernel.probe(check)).passed:
                await asyncio.sleep(0.05)
        with await world.connect(CLIENT) as connection:
            own = connection.getsockname()
            await send(connection, b"GET / HTTP/1.0\r\n\r\n")
            answer = await receive(connection)
        assert answer.splitlines()[-1].decode() == f"{own[0]} {own[1]} {ENDPOINT} {PORT}"
    finally:
        process.terminate()
        await process.wait()
