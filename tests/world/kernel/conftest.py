"""Two VPCs with the same addresses, a wire between them, and programs that run inside their hosts."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from tieline.fabric.core.topology import Crossing, Host, Listener, Name, Node, Target, Vpc, Wire
from tieline.fabric.kernel.driver import Kernel
from tieline.fabric.kernel.net import namespaces
from tieline.fabric.kernel.system import commands

T = TypeVar("T")
ENDPOINT, NODE, RESOLVER = "10.0.0.50", "10.0.0.60", "10.0.0.2"
CLIENT, FIRST, SECOND = "i-client", "i-first", "i-second"
PORT = 5432
NAME = "database.vpce.example.com"


def host(id: str, address: str) -> Host:
    return Host(id=id, address=address, prefix_length=24, router="10.0.0.1")


def listener(*addresses: str, port: int = PORT, seconds: int = 350) -> Listener:
    targets = tuple(Target(address=address, port=PORT) for address in addresses)
    return Listener(protocol="tcp", port=port, targets=targets, idle_timeout=seconds)


def consumer(id: str = "vpc-a") -> Vpc:
    """The client is 10.0.0.10, as one of the provider's targets is."""
    hosts = (host(CLIENT, "10.0.0.10"),)
    names = (Name(name=NAME, addresses=(ENDPOINT,)), Name(name="empty.example.com", addresses=()))
    return Vpc(id=id, cidrs=("10.0.0.0/16",), resolver=RESOLVER, hosts=hosts, addresses=(ENDPOINT,), names=names)


def provider(*listeners: Listener, id: str = "vpc-b") -> Vpc:
    hosts = (host(FIRST, "10.0.0.10"), host(SECOND, "10.0.0.11"))
    node = Node(id="eni-1", address=NODE, listeners=listeners or (listener("10.0.0.10"),))
    return Vpc(id=id, cidrs=("10.0.0.0/16",), resolver=RESOLVER, hosts=hosts, nodes=(node,))


def wire(*ports: int, id: str = "vpce-1", ends: tuple[str, str] = ("vpc-a", "vpc-b")) -> Wire:
    crossing = Crossing(
        zone="use1-az1",
        endpoint=ENDPOINT,
        near="169.254.8.0",
        far="169.254.8.1",
        node=NODE,
        ports=tuple(("tcp", port) for port in ports or (PORT,)),
    )
    return Wire(id=id, consumer=ends[0], provider=ends[1], crossings=(crossing,))


@dataclass
class Server:
    """A real TCP server in a host, which begins every connection with its own name and then echoes."""

    name: str
    listening: socket.socket
    peers: list[str] = field(default_factory=list)
    open: set[object] = field(default_factory=set)
    server: asyncio.Server | None = None

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, sock=self.listening)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(writer.get_extra_info("peername")[0])
        self.open.add(writer)
        writer.write(self.name.encode() + b"\n")
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.open.discard(writer)
            writer.transport.abort()


@dataclass
class World:
    """A kernel with a prefix of its own, and ways to act as its hosts do."""

    kernel: Kernel
    prefix: str
    state: Path
    servers: list[Server] = field(default_factory=list)

    def namespace(self, id: str) -> str:
        return f"{self.prefix}-{id}"

    async def inside(self, id: str, work: Callable[[], T]) -> T:
        return await namespaces.inside(self.namespace(id), work)

    async def run(self, id: str, *argv: str) -> str:
        return await commands.read(*commands.entering(self.namespace(id), *argv))

    async def serve(self, id: str, port: int = PORT) -> Server:
        listening = await self.inside(id, partial(socket.create_server, ("0.0.0.0", port), backlog=512))
        server = Server(id, listening)
        await server.start()
        self.servers.append(server)
        return server

    async def serve_both(self) -> None:
        """Both of the provider's hosts serve; its VPC is made for that where it is not there yet."""
        await self.kernel.converge_vpc(provider())
        await self.serve(FIRST)
        await self.serve(SECOND)

    async def connect(self, id: str, address: str = ENDPOINT, port: int = PORT, seconds: float = 30.0) -> socket.socket:
        """A connected socket of a host; raises what connect(2) does, or TimeoutError."""
        made = await self.inside(id, partial(socket.socket, socket.AF_INET, socket.SOCK_STREAM))
        made.setblocking(False)
        try:
            async with asyncio.timeout(seconds):
                await asyncio.get_running_loop().sock_connect(made, (address, port))
        except BaseException:
            made.close()
            raise
        return made

    async def greeting(self, id: str, address: str = ENDPOINT, port: int = PORT) -> str:
        """Who answers a new connection."""
        with await self.connect(id, address, port) as made:
            return (await receive(made)).decode().strip()

    async def link(self, a: Vpc | None = None, b: Vpc | None = None, joined: Wire | None = None) -> Wire:
        """Both VPCs and the wire."""
        joined = joined or wire()
        await self.kernel.converge_vpc(a or consumer(), [joined], [])
        await self.kernel.converge_vpc(b or provider(), [], [joined])
        await self.kernel.converge_wire(joined)
        return joined


async def receive(connected: socket.socket, seconds: float = 30.0) -> bytes:
    async with asyncio.timeout(seconds):
        return await asyncio.get_running_loop().sock_recv(connected, 65536)


async def send(connected: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(connected, data)


def writes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The commands that changed something since the log was cleared."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]


@pytest.fixture
async def world(prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[World]:
    """An empty world, of which nothing is left after the test."""
    caplog.set_level(logging.DEBUG, logger="tieline.fabric.kernel.system.commands")
    state = tmp_path / "state"
    made = World(Kernel(prefix, state), prefix, state)
    try:
        yield made
    finally:
        for server in made.servers:
            if server.server:
                server.server.close()
        await made.kernel.down()
