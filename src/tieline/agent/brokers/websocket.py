"""Stands before the broker's WebSocket listener: looks at the origin of who connects, and hands everything on.

Mosquitto 2.0 takes the pages of every site, so that a page which somebody merely reads could speak to a broker that
the browser reaches. The broker itself listens at another port of loopback. Each connection to it comes from an address
of its own, by which the plugin finds where the client is, and without which it lets nobody in: `origin.c`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import re
import resource
import secrets
import socket
from collections.abc import Iterable
from typing import Final

from tieline.agent.brokers.settings import ANY_ORIGIN, Listener

HEAD_BYTES: Final = 16 << 10  # of a request; browsers send about one thousand
HEAD_SECONDS: Final = 10.0
TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
TEXT: Final = re.compile(r"[\t -~]*")  # what browsers send: no line ends that only one of two readers sees
CHUNK: Final = 1 << 16
SLOTS: Final = 1 << 16  # connections at a time, two numbers of an address
KEPT: Final = 512  # files that stay for the agent's own work: databases, workers, the line to the platform
PEER_BYTES: Final = 64  # PEER_SIZE of origin.c
MAPPED: Final = "::ffff:"  # before an IPv4 address where the broker listens for both (RFC 4291, 2.5.5.2)
INNER: Final = "127.0.0.1"
SOURCE: Final = "127.77"  # loopback's, as all of 127.0.0.0/8 is on Linux
PORTS: Final = range(10_000, 32_000)  # below those that Linux gives to outgoing connections
REFUSED: Final = b"HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"

log = logging.getLogger(__name__)


class Refused(Exception):
    """The request is not handed on: the status line, and why."""

    def __init__(self, status: bytes, why: str) -> None:
        super().__init__(why)
        self.answer = REFUSED % (status, len(why) + 1, why.encode() + b"\n")


def check(head: bytes, origins: Iterable[str]) -> None:
    """Raise Refused for a request that is no WebSocket's, or that a page of another site makes.

    A page says where it is from by Origin (RFC 6455, 10.2); a device has none. Where a header comes twice nobody knows
    which one counts.
    """
    fields = _fields(head)
    if fields.get("upgrade", [""])[0].lower() != "websocket":
        raise Refused(b"426 Upgrade Required", "this is the WebSocket of an MQTT broker")
    hosts, found = fields.get("host", []), fields.get("origin", [])
    if len(hosts) != 1 or len(found) > 1:
        raise Refused(b"400 Bad Request", "Host is sent once, and Origin at most once")
    allowed = set(origins)
    if not found or ANY_ORIGIN in allowed or found[0].lower() in {one.lower() for one in allowed}:
        return
    if not hosts[0] or found[0].lower().partition("://")[2] != hosts[0].lower():
        raise Refused(b"403 Forbidden", f"pages of {found[0][:200]!r} may not connect: see websocket_origins")


def _fields(head: bytes) -> dict[str, list[str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    if not first.startswith("GET ") or not first.endswith(" HTTP/1.1"):
        raise Refused(b"400 Bad Request", "a WebSocket begins with GET")
    found: dict[str, list[str]] = {}
    for line in filter(None, lines):
        name, colon, value = line.partition(":")
        if not colon or not TOKEN.fullmatch(name) or not TEXT.fullmatch(value):
            raise Refused(b"400 Bad Request", "a header is not well formed")
        found.setdefault(name.lower(), []).append(value.strip())
    return found


class WebSocketDoor:
    """Listens for as long as it is open. `peers` is the descriptor of the file that the plugin reads."""

    def __init__(self) -> None:
        self.inner = Listener(host="", port=0)
        self.peers = os.memfd_create("peers")
        os.ftruncate(self.peers, SLOTS * PEER_BYTES)
        self._known: dict[str, tuple[str, int]] = {}  # by the address that it comes from: the client's, and its port
        self._next = itertools.cycle(range(1, SLOTS - 1))
        self._busy: set[int] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._heads: dict[asyncio.Task[None], None] = {}  # those whose client is to send a head, the oldest first
        self.origins: tuple[str, ...] = ()

    def choose(self) -> None:
        """Have the broker listen somewhere else from its next start on."""
        self.inner = Listener(host=INNER, port=_port())

    async def open(self, place: Listener, origins: tuple[str, ...]) -> None:
        """Listen there; raises OSError."""
        self.origins = origins
        if self._server is None:
            self._server = await asyncio.start_server(self._accepted, place.host, place.port, limit=HEAD_BYTES)

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def peer(self, source: str) -> tuple[str, int] | None:
        """The address and port of the client that is, or was last, behind an address of ours."""
        return self._known.get(source.removeprefix(MAPPED))

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= most():
            if not self._heads:
                writer.transport.abort()
                return
            self._ended(oldest := next(iter(self._heads)))
            oldest.cancel()
        task = asyncio.create_task(self._serve(reader, writer), name="websocket")
        self._tasks.add(task)
        self._heads[task] = None
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Its client is no longer to send a head."""
        self._heads.pop(task, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
            if (own := asyncio.current_task()) is not None:
                self._ended(own)
            check(head, self.origins)
            await self._hand_on(head, reader, writer)
        except Refused as refused:
            log.warning("a WebSocket was refused: %s", refused)
            writer.write(refused.answer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            log.debug("a WebSocket ended: %s", error)
        finally:
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    async def _hand_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        slot = self._slot()
        source = f"{SOURCE}.{slot >> 8}.{slot & 0xFF}"
        host, port = writer.get_extra_info("peername")[:2]
        self._known[source] = (host, port)
        os.pwrite(self.peers, host.encode()[: PEER_BYTES - 1].ljust(PEER_BYTES, b"\0"), slot * PEER_BYTES)
        far: asyncio.StreamWriter | None = None
        try:
            far_reader, far = await asyncio.open_connection(
                self.inner.host, self.inner.port, local_addr=(source, 0), limit=CHUNK
            )
            far.write(head)
            ways = [asyncio.create_task(_carry(*way)) for way in ((reader, far), (far_reader, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._busy.discard(slot)
            if far is not None:
                far.close()

    def _slot(self) -> int:
        """The next number that no connection has; raises ConnectionError where all are taken."""
        for slot in itertools.islice(self._next, SLOTS):
            if slot not in self._busy:
                self._busy.add(slot)
                return slot
        raise ConnectionError("there are too many WebSockets")


def most() -> int:
    """The connections at a time that leave the agent files for its own work: each takes two."""
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0] % (1 << 63)  # -1 where there is no limit
    return max(1, min(SLOTS - 2, (allowed - KEPT) // 2))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


def _port() -> int:
    """A port that nobody has now."""
    while True:
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((INNER, port))
            return port
