"""Bytes cross a wire between two VPCs with the same addresses, one way, through the listeners' ports alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
from collections import Counter
from functools import partial

import pytest
from msgspec.structs import replace

from tieline.fabric.kernel.system import names
from world.kernel.conftest import (
    CLIENT,
    ENDPOINT,
    FIRST,
    NODE,
    PORT,
    SECOND,
    World,
    listener,
    provider,
    receive,
    send,
    wire,
)

pytestmark = pytest.mark.world
SILENT = 0.3  # seconds without an answer: a refusal inside one machine takes microseconds


async def test_bytes_cross_and_the_target_sees_the_node(world: World) -> None:
    joined = await world.link()
    server = await world.serve(FIRST)
    with await world.connect(CLIENT) as connection:
        assert await receive(connection) == b"i-first\n"
        await send(connection, b"select 1")
        assert await receive(connection) == b"select 1"
    assert server.peers == [NODE]
    counted = (await world.kernel.meters(joined.consumer)).sets
    place = f"{joined.crossings[0].far} . tcp . {PORT}"
    assert counted["sent"][place].bytes > 8 and counted["received"][place].bytes > 16
    assert counted["sent"][place].packets >= 4 and counted["received"][place].packets >= 3
    assert counted["opened"][f"{ENDPOINT} . tcp . {PORT}"].packets == 1


async def test_the_same_address_is_another_host_in_each_vpc(world: World) -> None:
    await world.link()
    await world.serve(FIRST)
    assert await world.greeting(CLIENT) == "i-first"
    with pytest.raises(ConnectionRefusedError):  # the client's own 10.0.0.10, where nothing listens
        await world.connect(CLIENT, "10.0.0.10")


async def test_only_listener_ports_answer(world: World) -> None:
    await world.link(b=provider(listener("10.0.0.10"), listener("10.0.0.10", port=6379)), joined=wire(PORT))
    await world.serve(FIRST)
    assert await world.greeting(CLIENT) == "i-first"
    others = ((ENDPOINT, 6379), (ENDPOINT, 22), (NODE, PORT), ("169.254.8.1", PORT), ("169.254.8.0", PORT))
    await silence(world, CLIENT, *others)


async def test_the_provider_cannot_open_back(world: World) -> None:
    await world.link()
    await world.serve(FIRST)
    client, near = await world.serve(CLIENT, 8080), await world.serve("vpc-a", 8080)
    assert await world.greeting(CLIENT) == "i-first"
    await silence(world, FIRST, ("169.254.8.0", 8080), (ENDPOINT, PORT), (ENDPOINT, 8080), ("169.254.8.0", PORT))
    # not even from the provider's own namespace, which is on the wire and can be given any route
    for address in ("10.0.0.10", ENDPOINT):
        await world.run("vpc-b", "ip", "route", "replace", f"{address}/32", "via", "169.254.8.0")
    await silence(world, "vpc-b", ("169.254.8.0", 8080), ("10.0.0.10", 8080), (ENDPOINT, 8080), (ENDPOINT, PORT))
    assert client.peers == near.peers == []


async def test_a_wire_cannot_be_used_for_another_address(world: World) -> None:
    """Even from the consumer's own namespace, nothing but the far address's listeners is reached."""
    await world.link()
    await world.serve(FIRST)
    await world.run("vpc-a", "ip", "route", "add", "10.0.0.11/32", "via", "169.254.8.1")
    await world.serve(SECOND)
    await silence(world, "vpc-a", ("10.0.0.11", PORT), ("169.254.8.1", 22), ("169.254.8.1", 53))


async def test_flows_are_spread_over_the_targets(world: World) -> None:
    await world.link(b=provider(listener("10.0.0.10", "10.0.0.11")))
    await world.serve(FIRST)
    await world.serve(SECOND)
    answers = Counter(await asyncio.gather(*(world.greeting(CLIENT) for _ in range(64))))
    assert set(answers) == {"i-first", "i-second"}
    assert min(answers.values()) >= 12, answers  # 64 fair coins fall below 12 once in ten million


async def test_a_listener_without_targets_refuses(world: World) -> None:
    await world.link(b=provider(listener()))
    with pytest.raises(ConnectionRefusedError):
        await world.connect(CLIENT)
    with pytest.raises(ConnectionRefusedError):
        await world.connect(FIRST, NODE)


async def test_a_flow_keeps_its_target_when_the_targets_change(world: World) -> None:
    joined = await world.link()
    await world.serve(FIRST)
    await world.serve(SECOND)
    with await world.connect(CLIENT) as connection:
        assert await receive(connection) == b"i-first\n"
        assert await world.kernel.converge_vpc(provider(listener("10.0.0.11")), [], [joined])
        assert await world.greeting(CLIENT) == "i-second"
        await send(connection, b"still here")
        assert await receive(connection) == b"still here"


async def test_the_node_serves_its_own_vpc_and_a_target_may_call_itself(world: World) -> None:
    await world.link()
    await world.serve(FIRST)
    assert await world.greeting(SECOND, NODE) == "i-first"
    assert await world.greeting(FIRST, NODE) == "i-first"
    assert await world.greeting(SECOND, "10.0.0.10") == "i-first"


async def test_a_wire_from_a_vpc_to_itself(world: World) -> None:
    looped = wire(ends=("vpc-b", "vpc-b"))
    vpc = provider()
    await world.kernel.converge_vpc(vpc, [looped], [looped])
    await world.kernel.converge_wire(looped)
    server = await world.serve(FIRST)
    assert await world.greeting(SECOND, ENDPOINT) == "i-first"
    assert server.peers == [NODE]


async def test_a_flow_is_forgotten_after_the_listeners_idle_timeout(world: World) -> None:
    """And a reload of the table, which drops the object that carries it, does not change that."""
    joined = await world.link(b=provider(listener("10.0.0.10", seconds=77)))
    await world.serve(FIRST)
    with await world.connect(CLIENT) as connection:
        await receive(connection)
        both = provider(listener("10.0.0.10", seconds=77), listener("10.0.0.10", port=80))
        assert await world.kernel.converge_vpc(both, [], [joined])
        await send(connection, b"x")
        await receive(connection)
        await send(connection, b"y")
        await receive(connection)
        await left(world, "vpc-b", range(30, 78))
        await left(world, "vpc-a", range(6000, 7000))  # a consumer forgets later than any listener
        await world.run("vpc-b", "conntrack", "-D", "-p", "tcp")
        await send(connection, b"after the timeout")
        with pytest.raises(ConnectionResetError):
            await receive(connection)


async def test_an_idle_timeout_can_change(world: World) -> None:
    joined = await world.link(b=provider(listener("10.0.0.10", seconds=77)))
    assert await world.kernel.converge_vpc(provider(listener("10.0.0.10", seconds=99)), [], [joined])
    assert "idle-tcp-77" not in await world.run("vpc-b", "nft", "list", "ruleset")
    await world.serve(FIRST)
    assert await world.greeting(CLIENT) == "i-first"


async def test_datagrams_cross_too(world: World) -> None:
    one = replace(listener("10.0.0.10", "10.0.0.11"), protocol="udp", idle_timeout=120)
    joined = wire()
    joined = replace(joined, crossings=(replace(joined.crossings[0], ports=(("udp", PORT),)),))
    await world.link(b=provider(one), joined=joined)
    loop = asyncio.get_running_loop()
    transports = []
    for id in (FIRST, SECOND):
        made = await world.inside(id, partial(socket.socket, socket.AF_INET, socket.SOCK_DGRAM))
        made.bind(("0.0.0.0", PORT))
        transports.append((await loop.create_datagram_endpoint(partial(Echo, id), sock=made))[0])
    answers = [await world.inside(CLIENT, _ask) for _ in range(20)]
    for transport in transports:
        transport.close()
    assert set(answers) == {b"i-first 10.0.0.60", b"i-second 10.0.0.60"}


class Echo(asyncio.DatagramProtocol):
    """Answers each datagram with the server's name and the client's address."""

    def __init__(self, name: str) -> None:
        self.name = name

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(f"{self.name} {addr[0]}".encode(), addr)


def _ask() -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(30)
        asking.sendto(b"hello", (ENDPOINT, PORT))
        return asking.recv(100)


async def silence(world: World, id: str, *places: tuple[str, int]) -> None:
    """Nothing at these places answers, not even with a refusal."""

    async def attempt(address: str, port: int) -> None:
        with pytest.raises((TimeoutError, OSError)) as caught:
            await world.connect(id, address, port, SILENT)
        assert not isinstance(caught.value, ConnectionRefusedError), f"{address}:{port} answers"

    await asyncio.gather(*(attempt(*place) for place in places))


async def left(world: World, vpc: str, seconds: range) -> None:
    """Wait until the VPC's only flow has so long to live: its last byte is acknowledged with a delay of 40 ms."""
    async with asyncio.timeout(30):
        while int((await conntrack(world, vpc))[2]) not in seconds:
            await asyncio.sleep(0.02)


async def conntrack(world: World, vpc: str) -> list[str]:
    """The fields of the VPC's only established TCP flow."""
    lines = (await world.run(vpc, "conntrack", "-L", "-p", "tcp", "--state", "ESTABLISHED")).splitlines()
    assert len(lines) == 1, lines
    return lines[0].split()


# A packet from an address of the wire's far end to one that is nowhere, as only raw sockets send it; and one with a
# malformed option (its length is 1), which the kernel answers before it looks where the packet comes from.
SPOOF = """
import socket, struct, sys
def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF
def packet(source, target, options=b""):
    length = 5 + len(options) // 4
    fields = [0x40 | length, 0, length * 4 + 8, 7, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(target)]
    head = struct.pack("!BBHHHBBH4s4s", *fields) + options
    fields[7] = checksum(head)
    return struct.pack("!BBHHHBBH4s4s", *fields) + options + struct.pack("!HHHH", 9, 9, 8, 0)
raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0x0800)
router = bytes.fromhex(sys.argv[2].replace(":", ""))
for source in sys.argv[3:]:
    for target, options in (("203.0.113.9", b""), ("10.99.0.1", b""), ("10.0.0.60", bytes([7, 1, 4, 0]))):
        raw.sendto(packet(source, target, options), (sys.argv[1], 0x0800, 0, 0, router))
print("sent")
"""


async def test_no_error_crosses_that_answers_a_spoofed_source(world: World) -> None:
    """The kernel answers a packet that has no way on before it has checked where the packet may come from."""
    await world.link()
    await world.serve(FIRST)

    def listen() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))
        made.setblocking(False)
        return made

    heard = await world.inside("vpc-b", listen)
    link = json.loads(await world.run("vpc-a", "ip", "-j", "link", "show", names.host_link(CLIENT)))
    spoofed = ("169.254.8.1", "169.254.8.0", NODE, "10.0.0.11")
    said = await world.run(CLIENT, sys.executable, "-c", SPOOF, "eth0", link[0]["address"], *spoofed)
    assert said == "sent\n"
    assert await world.greeting(CLIENT) == FIRST  # what crosses after them has crossed
    crossed = []
    with contextlib.suppress(BlockingIOError):
        while True:
            data, where = heard.recvfrom(2048)
            if where[0].startswith("w-") and where[2] != socket.PACKET_OUTGOING and data[:1] and data[9:10] == b"\x01":
                crossed.append(data.hex())
    heard.close()
    assert crossed == []
