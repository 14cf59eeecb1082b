"""A server with small limits and an application that counts, on a free loopback port, and plain sockets to it."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tieline.base.http.hosts import Hosts
from tieline.base.http.limits import Limits
from tieline.base.http.server import Server
from tieline.cloud.tls.certificates import self_signed

SMALL = Limits(
    body_bytes=2000,
    head_bytes=4096,
    headers=20,
    pipelined=4,
    connections=8,
    head_seconds=1.0,
    body_seconds=1.0,
    idle_seconds=3.0,
    send_seconds=1.0,
    handshake_seconds=1,
)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ENOUGH = 30.0  # seconds for what takes one


class Application:
    """Reads the whole body and answers with its length; /large answers with more than any buffer holds."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []  # the scopes of requests that reached it
        self.hold = threading.Event()  # /held answers once this is set

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            return
        self.seen.append(scope)
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message["body"])
            if not message["more_body"]:
                break
        if scope["path"] == "/held":
            while not self.hold.is_set():
                await asyncio.sleep(0.01)
        answer = b"x" * (64 << 20) if scope["path"] == "/large" else b"%d" % size
        headers = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


class Running:
    """The server while it runs."""

    def __init__(self, server: Server, port: int, app: Application, authority: str = "") -> None:
        self.server, self.port, self.app, self.authority = server, port, app, authority

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=ENOUGH, source_address=(source, 0))

    def secured(self) -> socket.socket:
        context = ssl.create_default_context(cadata=self.authority)
        return context.wrap_socket(self.connect(), server_hostname="localhost")

    def ask(self, data: bytes) -> bytes:
        """All that comes back until the server closes or has nothing more to say."""
        with self.connect() as one:
            return exchange(one, data)


def exchange(one: socket.socket, data: bytes) -> bytes:
    """Send, and read to the end; a reset ends it, too."""
    try:
        one.sendall(data)
        one.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    return rest(one)


def rest(one: socket.socket) -> bytes:
    chunks = []
    try:
        while chunk := one.recv(65536):
            chunks.append(chunk)
    except ConnectionResetError:
        pass
    return b"".join(chunks)


def answer(one: socket.socket) -> bytes:
    """One answer with a short body, while the connection stays open; empty where it was closed."""
    data = b""
    while True:
        head, end, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if end and len(body) >= int(length[1] if length else 0):
            return data
        if not (chunk := one.recv(65536)):
            return data
        data += chunk


def status(answered: bytes) -> int:
    return int(answered.split(b" ", 2)[1]) if answered else 0


@contextmanager
def serving(limits: Limits = SMALL, state: Path | None = None, names: tuple[str, ...] = ()) -> Iterator[Running]:
    app, authority = Application(), ""
    options: dict[str, Any] = {}
    if state is not None:
        made = self_signed("test", ["localhost"], datetime.now(UTC))
        (state / "chain").write_text(made.chain)
        (state / "key").write_text(made.key)
        options, authority = {"ssl_certfile": str(state / "chain"), "ssl_keyfile": str(state / "key")}, made.authority
    server = Server(app, limits, Hosts(names), lifespan="off", **options)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    deadline = time.monotonic() + ENOUGH
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.started
    try:
        yield Running(server, listener.getsockname()[1], app, authority)
    finally:
        app.hold.set()
        server.should_exit = True
        server.force_exit = True
        thread.join(ENOUGH)
        listener.close()
        assert not thread.is_alive()


@pytest.fixture
def running() -> Iterator[Running]:
    with serving() as found:
        yield found
