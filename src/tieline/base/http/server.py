"""A server of an ASGI application with limits: plain or TLS, on sockets that are given or on a loopback port."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn

from tieline.base.http.connections import Connections
from tieline.base.http.hosts import Hosts
from tieline.base.http.limits import Limits
from tieline.base.http.protocol import Guard, GuardedHttp, Refusal

STARTUP_FAILURE = 3  # uvicorn's own exit status
BACKLOG = 1024  # connections that the kernel keeps until they are accepted


def plain_text(refusal: Refusal) -> tuple[bytes, bytes]:
    """A refusal for clients that no other shape was agreed with."""
    return b"text/plain; charset=utf-8", f"{refusal.message}: {refusal.hint}\n".encode()


class Server(uvicorn.Server):
    """uvicorn's server with limits. Headers that say where a request came from (X-Forwarded-For) are not believed."""

    def __init__(
        self,
        app: Any,
        limits: Limits,
        hosts: Hosts,
        render: Callable[[Refusal], tuple[bytes, bytes]] = plain_text,
        **options: Any,
    ) -> None:
        settings: dict[str, Any] = {
            "http": "httptools",
            "ws": "websockets-sansio",
            "ws_max_size": limits.message_bytes,
            "proxy_headers": False,
            "server_header": False,
            "access_log": False,
            "log_config": None,
            "log_level": "warning",
            "backlog": BACKLOG,
            "timeout_keep_alive": int(limits.idle_seconds),
        }
        super().__init__(uvicorn.Config(app, **(settings | options)))
        self.guard = Guard(limits, hosts, Connections(limits), render)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen; without sockets on the port of the settings. Raises OSError."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            sys.exit(STARTUP_FAILURE)
        config, loop = self.config, asyncio.get_running_loop()
        sockets = sockets if sockets is not None else [socket.create_server((config.host, config.port))]
        for one in sockets:  # what is accepted there inherits it: small answers go at once
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        make = partial(self._connection, loop) if config.ssl is None else partial(Handshake, self, loop, config.ssl)
        self.servers = [await loop.create_server(make, sock=one, backlog=config.backlog) for one in sockets]
        self.started = True

    def _connection(self, loop: asyncio.AbstractEventLoop) -> GuardedHttp:
        return GuardedHttp(self.guard, self.config, self.server_state, self.lifespan.state, loop)


class Handshake(asyncio.Protocol):
    """A connection before TLS is agreed, which has a place of its own among the others: a silent one can lose it."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, context: ssl.SSLContext) -> None:
        self._server, self._loop, self._context = server, loop, context
        self._seconds = server.guard.limits.handshake_seconds
        self._begun = loop.time()
        self._transport: asyncio.Transport | None = None
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, and let TLS go on with the connection."""
        assert isinstance(transport, asyncio.Transport), "it is a stream"
        peer = transport.get_extra_info("peername")
        self._transport, self.address = transport, str(peer[0]) if peer else ""
        if not self._server.guard.connections.enter(self):
            transport.abort()
            return
        inner = self._server._connection(self._loop)
        inner.agreed = self.finished
        agreed = SSLProtocol(
            self._loop,
            inner,
            self._context,
            None,  # type: ignore[arg-type]  # nobody waits for it
            server_side=True,
            ssl_handshake_timeout=self._seconds,
        )
        transport.set_protocol(agreed)
        agreed.connection_made(transport)

    def finished(self) -> None:
        """TLS is agreed, or the connection is gone: HTTP has its own place."""
        self._server.guard.connections.leave(self)

    def waits(self) -> bool:
        return True

    def waiting_since(self) -> float:
        return self._begun

    def overdue(self, now: float) -> str:
        gone = self._transport is None or self._transport.is_closing()
        return "handshake" if gone or now - self._begun > self._seconds else ""

    def expire(self, _: str) -> None:
        self.give_way()

    def give_way(self) -> None:
        self.finished()
        if self._transport is not None:
            self._transport.abort()
