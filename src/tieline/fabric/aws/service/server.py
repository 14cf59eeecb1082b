"""The AWS endpoint as an ASGI application, and its server: bounded reading, one answer, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from tieline.base.http.hosts import Hosts
from tieline.base.http.limits import Limits
from tieline.base.http.protocol import Refusal
from tieline.base.http.server import Server
from tieline.fabric.aws.protocol.claim import HttpRequest
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.protocol.form import MAX_BYTES
from tieline.fabric.aws.protocol.signature import KeyLookup
from tieline.fabric.aws.service.endpoint import Answer, Dispatch, Endpoint, Request, refusal

__all__ = ["ASGIApp", "Dispatch", "Request", "application", "server"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

BODY_SECONDS = 30.0  # for a whole body to arrive
# A body beyond MAX_BYTES is refused in the client's own dialect; beyond twice as much nothing is read.
LIMITS = Limits(body_bytes=2 * MAX_BYTES)
NOBODY = HttpRequest("POST", b"/", b"", ())  # asked what was refused before it was read


class Disconnected(Exception):
    """The client left before its request was whole; nobody waits for an answer."""


def application(
    dispatch: Dispatch, lookup: KeyLookup, *, clock: Callable[[], datetime], request_id: Callable[[], str]
) -> ASGIApp:
    """The endpoint, for `server`; `clock` gives aware times.

    `dispatch` runs on the event loop's own thread, one call at a time. It returns the members of the operation's answer
    or raises AwsError; anything else that it raises is logged with its traceback and answered as an internal error.
    """
    endpoint = Endpoint(dispatch, lookup, clock, request_id)

    async def app(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await _http(endpoint, scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})  # unsupported data

    return app


def server(app: ASGIApp, *, hosts: Hosts | None = None, **options: Any) -> Server:
    """The server of the endpoint. Its answers carry their own Date, by which clients correct their clocks."""
    settings = {"date_header": False, "lifespan": "off", "ws": "none"} | options
    return Server(app, LIMITS, hosts or Hosts(), _unread, **settings)


def _unread(refused: Refusal) -> tuple[bytes, bytes]:
    error = AwsError(refused.code, f"{refused.message}: {refused.hint}.", refused.status)
    answer = refusal(NOBODY, error, "")
    return answer.content_type, answer.body


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = (await receive())["type"]
        await send({"type": f"{event}.complete"})
        if event == "lifespan.shutdown":
            return


async def _http(endpoint: Endpoint, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    head = HttpRequest(scope["method"], path, scope["query_string"], tuple(map(tuple, scope["headers"])))
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _body(receive)
    except TimeoutError:
        slow = AwsError("RequestTimeout", f"The body did not arrive within {BODY_SECONDS:.0f} s. Send it again.", 408)
        answer = endpoint.refuse(head, slow)
    except Disconnected:
        return
    else:
        answer = endpoint.answer(HttpRequest(head.method, head.path, head.query, head.headers, body))
    await _send(answer, endpoint.clock(), head.method == "HEAD", send)


async def _body(receive: Receive) -> bytes:
    """The body, or the first bytes of one that is too long, which parsing then refuses."""
    chunks: list[bytes] = []
    size = 0
    while size <= MAX_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk: bytes = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        if not message.get("more_body"):
            break
    return b"".join(chunks)


async def _send(answer: Answer, now: datetime, without_body: bool, send: Send) -> None:
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(answer.body)).encode()),
        (b"date", format_datetime(now.astimezone(UTC), usegmt=True).encode()),
        (b"x-amzn-requestid", answer.request_id.encode()),
    ]
    if answer.code:
        headers.append((b"x-amzn-errortype", answer.code.encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if without_body else answer.body})
