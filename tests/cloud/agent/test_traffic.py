"""What the agent counts on its connections, with real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tieline.agent.protocol import Carried
from tieline.agent.traffic import Traffic, connections
from tieline.integration.config.shapes import PostgreSQL

SENT, ANSWERED = 70_000, 9_000


class Server:
    """A server on loopback, and clients that exchange so many bytes with it."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=500))
        self.port: int = self._listening.getsockname()[1]

    def exchange(self) -> socket.socket:
        """One more connection, over which all is through; returns the client's end."""
        client = self._stack.enter_context(socket.create_connection(("127.0.0.1", self.port)))
        there = self._stack.enter_context(self._listening.accept()[0])
        client.sendall(b"x" * SENT)
        _receive(there, SENT)
        there.sendall(b"x" * ANSWERED)
        _receive(client, ANSWERED)
        return client


def _receive(end: socket.socket, size: int) -> None:
    while size:
        size -= len(end.recv(size))


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def resource(port: int, host: str = "127.0.0.1") -> PostgreSQL:
    return PostgreSQL(id="r", server=f"{host}:{port}", database="d", username="u")


async def test_bytes_and_flows_of_a_resource_are_what_went_over_its_connections(stack: ExitStack) -> None:
    server, other = Server(stack), Server(stack)
    traffic, watched, name = Traffic(), [resource(server.port)], f"127.0.0.1:{server.port}"
    first, _ = server.exchange(), server.exchange()
    other.exchange()
    for now in (0.0, 1.0):  # what was counted is not counted again
        await traffic.look(watched, now)
        assert traffic.totals() == {name: Carried(2, 2 * SENT, 2 * ANSWERED)}
    first.close()
    server.exchange()
    await traffic.look(watched, 2.0)
    assert traffic.totals() == {name: Carried(2, 3 * SENT, 3 * ANSWERED)}


async def test_a_name_that_nobody_knows_and_a_resource_that_is_gone_cost_nothing() -> None:
    traffic = Traffic()
    await traffic.look([resource(5432, "nowhere.invalid")], 0.0)
    assert traffic.totals() == {"nowhere.invalid:5432": Carried()}
    await traffic.look([], 1.0)
    assert traffic.totals() == {}


def test_the_kernel_tells_each_connection_once(stack: ExitStack) -> None:
    server = Server(stack)
    for _ in range(200):  # more than one of its answers holds
        server.exchange()
    told = [cookie for cookie, place, _, _ in connections() if place == ("127.0.0.1", server.port)]
    assert len(told) == len(set(told)) == 200
