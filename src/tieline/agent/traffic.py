"""What the connections to each resource's servers carry, as this machine's kernel counts it for every socket.

It is asked over netlink (sock_diag(7)). A connection that opens and ends between two looks is not seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address

from tieline.agent.protocol import Carried
from tieline.base.hostport import joined
from tieline.base.servers import split_servers
from tieline.integration.config.shapes import Resource

RESOLVE_SECONDS = 10.0  # a private link keeps its addresses for life; other names move slowly
# linux/sock_diag.h, linux/inet_diag.h, linux/tcp.h
NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, DUMP = 4, 20, 0x301
ESTABLISHED, INFO = 1 << 1, 2
HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
DONE, ERROR = 3, 2
ASK = struct.Struct("=BBBxI48x")  # family, protocol, extensions, states, any socket
TOLD = struct.Struct("=BBBB2s2s16s16sIQ20x")  # family … ports, addresses, interface, cookie
ATTRIBUTE = struct.Struct("=HH")
BYTES = struct.Struct("=QQ")  # tcpi_bytes_acked, tcpi_bytes_received
BYTES_AT = 120  # of struct tcp_info, since Linux 4.1

Place = tuple[str, int]


class Traffic:
    """Adds up what it sees from look to look: totals by server, `host:port` as the resource names it."""

    def __init__(self) -> None:
        self._places: dict[Place, str] = {}  # whose address this is
        self._known: frozenset[str] = frozenset()
        self._due = 0.0
        self._resolving: dict[str, asyncio.Task[None]] = {}
        self._seen: dict[int, tuple[int, int]] = {}  # by the kernel's cookie, which is never used again
        self._totals: dict[str, Carried] = {}

    async def look(self, resources: Iterable[Resource], now: float) -> None:
        """Count again; where the kernel does not answer, nothing is counted.

        A name is not waited for: a resolver that does not answer would keep every report back, and what a connection
        carried before its name was known is counted then.
        """
        servers = frozenset(server for resource in resources for server in _servers(resource))
        if servers != self._known or now >= self._due:
            literal = _literal(servers)
            self._places = {p: server for p, server in self._places.items() if server in servers} | literal
            self._known, self._due = servers, now + RESOLVE_SECONDS
            for server in servers - set(literal.values()) - self._resolving.keys():
                self._resolving[server] = asyncio.create_task(self._resolve(server), name=f"address of {server}")
        self._totals = {server: self._totals.get(server, Carried()) for server in servers}
        if self._places:
            with contextlib.suppress(OSError):
                self._count(await asyncio.to_thread(lambda: list(connections())))

    async def _resolve(self, server: str) -> None:
        """Learn the addresses of a server; where its name is not known now, those that were stay."""
        try:
            places = await _addresses(server)
        finally:
            del self._resolving[server]
        if places and server in self._known:
            others = {place: other for place, other in self._places.items() if other != server}
            self._places = others | dict.fromkeys(places, server)

    def totals(self) -> dict[str, Carried]:
        """By server: flows that are open, and bytes since the agent started."""
        return dict(self._totals)

    def _count(self, found: list[tuple[int, Place, int, int]]) -> None:
        seen: dict[int, tuple[int, int]] = {}
        added = {server: [0, 0, 0] for server in self._totals}
        for cookie, place, sent, received in found:
            server = self._places.get(place)
            if server not in added:
                continue
            before = self._seen.get(cookie, (0, 0))
            seen[cookie] = (sent, received)
            for n, more in enumerate((1, sent - before[0], received - before[1])):
                added[server][n] += more
        self._seen = seen
        for server, (flows, sent, received) in added.items():
            total = self._totals[server]
            self._totals[server] = Carried(flows, total.sent + sent, total.received + received)


def _servers(resource: Resource) -> list[str]:
    try:
        return [joined(host, port) for name, host, port in split_servers(resource.address) if not name]
    except ValueError:  # a service that is known by its region
        return []


def _literal(servers: Iterable[str]) -> dict[Place, str]:
    """Those servers that are addresses already, by their places."""
    found = {}
    for server in servers:
        host, _, port = server.rpartition(":")
        with contextlib.suppress(ValueError):
            found[str(IPv4Address(host)), int(port)] = server
    return found


async def _addresses(server: str) -> list[Place]:
    host, _, port = server.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host.strip("[]"), int(port), family=socket.AF_INET, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError):
        return []
    return [(str(entry[4][0]), int(port)) for entry in found]


def connections() -> Iterator[tuple[int, Place, int, int]]:
    """Each established TCP connection over IPv4: its cookie, whom it goes to, bytes sent and received.

    Raises OSError where the kernel does not tell.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as line:
        line.settimeout(1)
        asked = ASK.pack(socket.AF_INET, socket.IPPROTO_TCP, 1 << (INFO - 1), ESTABLISHED)
        line.send(HEADER.pack(HEADER.size + len(asked), SOCK_DIAG_BY_FAMILY, DUMP, 1, 0) + asked)
        while True:
            data = line.recv(1 << 16)
            while data:
                length, type, *_ = HEADER.unpack_from(data)
                if type == DONE:
                    return
                if type == ERROR:
                    raise OSError("the kernel does not tell of its sockets")
                yield from _connection(data[HEADER.size : length])
                data = data[(length + 3) & ~3 :]


def _connection(told: bytes) -> Iterator[tuple[int, Place, int, int]]:
    _, _, _, _, _, port, _, address, _, cookie = TOLD.unpack_from(told)
    rest = told[TOLD.size :]
    while len(rest) >= ATTRIBUTE.size:
        length, type = ATTRIBUTE.unpack_from(rest)
        if type == INFO and length >= ATTRIBUTE.size + BYTES_AT + BYTES.size:
            sent, received = BYTES.unpack_from(rest, ATTRIBUTE.size + BYTES_AT)
            place = (socket.inet_ntop(socket.AF_INET, address[:4]), int.from_bytes(port, "big"))
            yield cookie, place, max(0, sent - 1), received  # one was the handshake's
        rest = rest[(max(length, ATTRIBUTE.size) + 3) & ~3 :]
