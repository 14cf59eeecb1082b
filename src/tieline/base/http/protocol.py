"""One HTTP connection with its limits: uvicorn's own protocol, told how much and how long it may take.

What a peer sends beyond a limit, twice, or for another host is refused before the application hears of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain
from typing import Any, NamedTuple

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from tieline.base.http.connections import Connections
from tieline.base.http.hosts import Hosts
from tieline.base.http.limits import Limits

#: Lists by their own definition (RFC 9110, 5.3): one on each line means the same as all on one line. Of any other
#: header a second line is refused, for which of the two would be believed?
LISTS = frozenset(
    {
        b"accept",
        b"accept-charset",
        b"accept-encoding",
        b"accept-language",
        b"cache-control",
        b"connection",
        b"forwarded",
        b"pragma",
        b"te",
        b"trailer",
        b"upgrade",
        b"via",
        b"warning",
        b"x-forwarded-for",
        b"sec-websocket-extensions",
        b"sec-websocket-protocol",
    }
)


class Refusal(NamedTuple):
    """Why a request is not heard."""

    status: int
    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class Guard:
    """What the connections of one server share. `render` gives a refusal's content type and body."""

    limits: Limits
    hosts: Hosts
    connections: Connections
    render: Callable[[Refusal], tuple[bytes, bytes]]


class Refused(Exception):
    """Leaves the parser, for a request that is not to be heard."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Turn(Enum):
    """Whose turn it is on a connection."""

    IDLE = auto()  # the client may send another request
    HEAD = auto()  # the client is to send the rest of a head
    BODY = auto()  # the client is to send the rest of a body
    SERVED = auto()  # the server is to answer


class GuardedHttp(HttpToolsProtocol):
    """A connection with its limits."""

    def __init__(
        self,
        guard: Guard,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self.guard, self.address, self.here = guard, "", ""
        self._limits = guard.limits
        self._turn, self._since = Turn.HEAD, loop.time()
        self._unparsed = self._body = 0  # bytes since the parser last told of any, and of this request's body
        self._stuck: float | None = None  # since when the client has taken nothing
        self.agreed: Callable[[], None] | None = None  # to be called once the connection stands, TLS included

    # A place among the connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self.here = str(self.server[0]) if self.server else ""
        self._since = self.loop.time()
        if self.agreed is not None:
            self.agreed()
        if not self.guard.connections.enter(self):
            self._refuse(busy(self._limits.connections))

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.connections.leave(self)
        super().connection_lost(exc)

    def waits(self) -> bool:
        return self._turn is not Turn.SERVED or self._stuck is not None

    def waiting_since(self) -> float:
        return self._since if self._stuck is None else self._stuck

    def give_way(self) -> None:
        end = self.transport.close if self.transport.get_write_buffer_size() == 0 else self.transport.abort
        end()

    def overdue(self, now: float) -> str:
        if self.transport.get_write_buffer_size() == 0:
            self._stuck = None
        elif self._stuck is None:
            self._stuck = now
        elif now - self._stuck > self._limits.send_seconds:
            return "unread"
        allowed = {
            Turn.IDLE: self._limits.idle_seconds,
            Turn.HEAD: self._limits.head_seconds,
            Turn.BODY: self._limits.body_seconds,
        }.get(self._turn)
        return self._turn.name.lower() if allowed is not None and now - self._since > allowed else ""

    def expire(self, why: str) -> None:
        if why == "unread":
            self.transport.abort()
        elif why == "idle" or (why == "head" and not self._unparsed):
            self.transport.close()
        else:
            self._refuse(slow(why))

    def resume_writing(self) -> None:
        self._stuck = None
        super().resume_writing()

    # What the client sends

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._turn is Turn.IDLE:
            self._begin(Turn.HEAD)
        self._unparsed += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.refusal if isinstance(cause, Refused) else MALFORMED)
        else:
            if self._unparsed > self._limits.head_bytes:
                self._refuse(too_long(self._limits))

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begin(Turn.HEAD)
        self._body = 0

    def on_headers_complete(self) -> None:
        self._unparsed = 0
        check_head(self.url, self.headers, self.here, self.guard)
        if len(self.pipeline) >= self._limits.pipelined:
            raise Refused(Refusal(400, "TooManyRequests", "too many requests at once on one connection", "wait"))
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self.headers = []  # what follows a body is no header of the request: trailers are not heard
        self._begin(Turn.BODY)

    def on_body(self, body: bytes) -> None:
        self._unparsed = 0
        self._body += len(body)
        if self._body > self._limits.body_bytes:
            raise Refused(too_large(self._limits))
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed = 0
        self._begin(Turn.IDLE if self.cycle is None or self.cycle.response_complete else Turn.SERVED)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._turn is Turn.SERVED and not self.pipeline:
            self._begin(Turn.IDLE)
        super().on_response_complete()

    def _begin(self, turn: Turn) -> None:
        self._turn, self._since = turn, self.loop.time()

    # WebSockets

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection on: its place here is free, and it is counted among the WebSockets."""
        if sum(isinstance(one, WebSocketsSansIOProtocol) for one in self.connections) >= self._limits.websockets:
            self._refuse(busy(self._limits.websockets))
            return
        self.guard.connections.leave(self)
        super().handle_websocket_upgrade()

    # Refusals

    def send_400_response(self, msg: str) -> None:
        self._refuse(MALFORMED._replace(message=msg))

    def _refuse(self, refusal: Refusal) -> None:
        """Answer if it can be seen to which request this is the answer, and close the connection."""
        if self.transport.is_closing():
            return
        asked = self.cycle
        answering = asked is not None and not asked.response_complete
        if answering and (self._turn is not Turn.BODY or self.pipeline or asked.response_started):
            self.transport.abort()
            return
        if answering:  # the application hears that the client has left, and says nothing more
            asked.disconnected = True
            asked.message_event.set()
        kind, body = self.guard.render(refusal)
        head = (b"content-type: " + kind, b"content-length: %d" % len(body), b"connection: close")
        self.transport.write(STATUS_LINE[refusal.status] + b"\r\n".join((*head, b"", body)))
        self.transport.close()
        self.loop.call_later(self._limits.handshake_seconds, self._drop)

    def _drop(self) -> None:
        """What has not been taken by now never will be."""
        if self.transport is not None:
            self.transport.abort()


def check_head(url: bytes, headers: list[tuple[bytes, bytes]], here: str, guard: Guard) -> None:
    """Raises Refused for a head that is too large, ambiguous, or meant for another server."""
    limits, known = guard.limits, dict(headers)
    if len(headers) > limits.headers or len(url) + sum(map(len, chain.from_iterable(headers))) > limits.head_bytes:
        raise Refused(too_long(limits))
    if len(known) < len(headers):
        names = [name for name, _ in headers]
        twice = {name for name in known if names.count(name) > 1} - LISTS
        if twice:
            raise Refused(repeated(min(twice).decode("latin-1")))
    if not url.startswith(b"/"):
        hint = "send the path alone, as to any server that is no proxy"
        raise Refused(Refusal(400, "InvalidRequest", "the request's target is no path", hint))
    if b"host" not in known:
        raise Refused(Refusal(400, "InvalidRequest", "there is no Host header", "send one, as HTTP/1.1 asks for"))
    if not guard.hosts.serves(known[b"host"], here):
        raise Refused(misdirected(known[b"host"]))
    if known.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refused(Refusal(415, "UnsupportedMediaType", "the body is compressed", "send it as it is"))
    length = known.get(b"content-length", b"0")
    if length.isdigit() and int(length) > limits.body_bytes:
        raise Refused(too_large(limits))


MALFORMED = Refusal(400, "InvalidRequest", "this is no HTTP request", "send HTTP/1.1; with TLS use the port for TLS")


def too_long(limits: Limits) -> Refusal:
    message = f"the head of the request is larger than {limits.head_bytes} bytes or {limits.headers} headers"
    return Refusal(431, "RequestHeaderFieldsTooLarge", message, "send less in headers and in the query string")


def too_large(limits: Limits) -> Refusal:
    message = f"the body is larger than {limits.body_bytes} bytes"
    return Refusal(413, "RequestEntityTooLarge", message, "send less at a time")


def repeated(name: str) -> Refusal:
    return Refusal(400, "InvalidRequest", f"the header {name[:60]} is given more than once", "send it once")


def misdirected(host: bytes) -> Refusal:
    shown = host[:100].decode("latin-1")
    hint = "ask by an address or name of this machine, or start the server with --allow-host and the name"
    return Refusal(421, "MisdirectedRequest", f"this server does not serve the host {shown!r}", hint)


def slow(what: str) -> Refusal:
    return Refusal(408, "RequestTimeout", f"the {what} of the request did not arrive in time", "send it again")


def busy(limit: int) -> Refusal:
    return Refusal(503, "ServiceUnavailable", f"all {limit} connections are in use", "try again in a moment")
