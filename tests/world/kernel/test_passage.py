"""A passage carries every byte both ways between this machine's loopback and an instance's, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import random
import socket
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from servers import free_port
from tieline.fabric.core.topology import Passage
from tieline.fabric.kernel.net import passages
from tieline.fabric.kernel.system import processes
from tieline.fabric.kernel.system.commands import KernelError
from tieline.fabric.kernel.system.names import Footprint
from world.kernel.conftest import CLIENT, World, consumer

pytestmark = pytest.mark.world
LOOPBACK = "127.0.0.1"
MEGABYTES = 100
log = logging.getLogger(__name__)


def inward(port: int, inside: int = 1883, id: str = "p-in") -> Passage:
    listen, connect = (LOOPBACK, port), (LOOPBACK, inside)
    return Passage(id=id, instance=CLIENT, direction="inward", listen=listen, connect=connect)


def outward(inside: int, port: int) -> Passage:
    listen, connect = (LOOPBACK, inside), (LOOPBACK, port)
    return Passage(id="p-out", instance=CLIENT, direction="outward", listen=listen, connect=connect)


async def test_a_hundred_megabytes_both_ways_are_intact(world: World) -> None:
    server, port = await opened(world)
    async with server:
        sent = random.Random(7).randbytes(1 << 20)
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        began = time.monotonic()
        received = asyncio.create_task(_digest(reader))
        expected = hashlib.sha256()
        for _ in range(MEGABYTES):
            expected.update(sent)
            writer.write(sent)
            await writer.drain()
        writer.write_eof()
        assert await received == expected.hexdigest()
        log.warning("%d MB there and back in %.2f s", MEGABYTES, time.monotonic() - began)
        writer.close()


async def test_a_half_closed_connection_still_answers(world: World) -> None:
    """The server answers only when its client has said everything."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read()
        await asyncio.sleep(0.1)
        writer.write(b"you said " + asked)
        writer.close()

    server, port = await opened(world, answer)
    async with server:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
        writer.write(b"something")
        writer.write_eof()
        assert await reader.read() == b"you said something"
        writer.close()


async def test_a_slow_reader_holds_the_writer_back(world: World) -> None:
    """What the passage holds for a reader who does not read is bounded by its sockets and one pipe."""
    held = asyncio.Event()

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await held.wait()
        writer.transport.abort()

    server, port = await opened(world, ignore)
    async with server:
        client = socket.create_connection((LOOPBACK, port))
        client.setblocking(False)
        total, chunk, still = 0, bytes(1 << 16), 0
        while still < 10:
            try:
                total += client.send(chunk)
                still = 0
            except BlockingIOError:
                still += 1
                await asyncio.sleep(0.02)
        assert total < 64 << 20
        forwarder = the_forwarder(world)
        ticks = cpu(forwarder)
        await asyncio.sleep(0.3)
        assert cpu(forwarder) - ticks <= 2, "a blocked passage waits instead of spinning"
        held.set()
        client.close()


async def test_a_dead_end_is_told_to_the_client(world: World) -> None:
    port = free_port()
    await world.kernel.converge_vpc(consumer())
    assert await world.kernel.converge_passage(inward(port, inside=9))
    with pytest.raises(ConnectionResetError), socket.create_connection((LOOPBACK, port)) as client:
        client.settimeout(30)
        client.recv(1)


async def test_many_connections_at_once_and_idle_ones_hold_no_pipe(world: World) -> None:
    server, port = await opened(world)
    async with server:
        await asyncio.gather(*(_echo(port, bytes([n % 256]) * 5000) for n in range(200)))
        idle = [await asyncio.open_connection(LOOPBACK, port) for _ in range(100)]
        for reader, writer in idle:
            writer.write(b"x")
            await reader.readexactly(1)
        pipes = [name for name in fds(the_forwarder(world)) if name.startswith("pipe:")]
        assert len(pipes) < 20
        for _, writer in idle:
            writer.close()


async def test_an_outward_passage_reaches_this_machine(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    server = await asyncio.start_server(_echo_back, LOOPBACK, 0)
    async with server:
        assert await world.kernel.converge_passage(outward(8080, server.sockets[0].getsockname()[1]))
        connection = await world.inside(CLIENT, partial(socket.create_connection, (LOOPBACK, 8080)))
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(connection, b"hello")
        assert await asyncio.get_running_loop().sock_recv(connection, 100) == b"hello"
        connection.close()
        with pytest.raises(ConnectionRefusedError):
            await world.inside("vpc-a", partial(socket.create_connection, (LOOPBACK, 8080)))


async def test_it_runs_without_privilege_and_without_its_maker(world: World) -> None:
    server, _ = await opened(world)
    async with server:
        status = Path(f"/proc/{the_forwarder(world).pid}/status").read_text()
        fields = {line.split(":")[0]: line.split()[1:] for line in status.splitlines()}
        assert fields["Uid"] == ["65534"] * 4 and fields["Gid"] == ["65534"] * 4
        assert fields["CapPrm"] == fields["CapEff"] == ["0000000000000000"] and fields["NoNewPrivs"] == ["1"]
        assert fields["PPid"] != [str(os.getpid())]


async def test_converging_and_closing(world: World) -> None:
    server, port = await opened(world)
    async with server:
        assert not await world.kernel.converge_passage(inward(port))
        assert (await world.kernel.observe()).passages == {"p-in": inward(port)}
        moved = inward(free_port())
        assert await world.kernel.converge_passage(moved)
        assert (await world.kernel.observe()).passages == {"p-in": moved}
        await processes.end([the_forwarder(world)])
        assert await world.kernel.converge_passage(moved)
        await _echo(moved.listen[1], b"mended")
        await world.kernel.close_passage("p-in")
        assert (await world.kernel.observe()).passages == {}
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(moved.listen)


async def test_a_taken_port_is_an_error_with_its_cause(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    with socket.create_server((LOOPBACK, 0)) as taken, pytest.raises(KernelError, match="Address already in use"):
        await world.kernel.converge_passage(inward(taken.getsockname()[1]))
    assert (await world.kernel.observe()).passages == {}


async def test_a_new_namespace_gets_a_new_forwarder(world: World) -> None:
    server, port = await opened(world)
    async with server:
        await world.kernel.stop_instance(CLIENT)
        assert (await world.kernel.observe()).passages == {}
        await world.kernel.converge_vpc(consumer())
        assert await world.kernel.converge_passage(inward(port))


async def opened(world: World, serve: object = None) -> tuple[asyncio.Server, int]:
    """A server inside the instance, by default one that echoes, and the port of the passage to it."""
    await world.kernel.converge_vpc(consumer())
    listening = await world.inside(CLIENT, partial(socket.create_server, (LOOPBACK, 1883), backlog=512))
    port = free_port()
    assert await world.kernel.converge_passage(inward(port))
    return await asyncio.start_server(serve or _echo_back, sock=listening), port  # type: ignore[arg-type]


def the_forwarder(world: World) -> processes.Process:
    ((process, _),) = passages._forwarders(Footprint(world.prefix, world.state))
    return process


def fds(process: processes.Process) -> list[str]:
    found = []
    for entry in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            found.append(str(entry.readlink()))
    return found


def cpu(process: processes.Process) -> int:
    """Clock ticks that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def _echo(port: int, data: bytes) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    writer.close()


async def _digest(reader: asyncio.StreamReader) -> str:
    found = hashlib.sha256()
    while data := await reader.read(1 << 18):
        found.update(data)
    return found.hexdigest()


async def _echo_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 18):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()
