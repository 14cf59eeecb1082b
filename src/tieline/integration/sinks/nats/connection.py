"""One connection to NATS, and JetStream's word for each of many messages that are on their way at once.

The client library's own way for many, publish_async, never ends where a stream refuses a message (nats-py 2.16).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any, Final

import orjson

from tieline.integration.sinks.base import tls
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.base.kind import Ssl, driver
from tieline.integration.sinks.base.reach import resolved
from tieline.integration.sinks.nats.errors import translated

if TYPE_CHECKING:
    import nats.aio.client
    import nats.js.errors
else:
    nats = driver("nats")

CLIENT_NAME: Final = "tieline"
CLOSE_SECONDS: Final = 0.5
NO_RESPONDERS: Final = "503"  # the status of an answer where nobody listens (NATS protocol, headers)


class Connection:
    """A client that does not connect again by itself; `lost` is set when it has ended."""

    def __init__(self, encrypted: bool) -> None:
        self.client = _client_class()(encrypted)
        self.lost = asyncio.Event()
        self.said = ""  # what the server complained of last, which no answer tells
        self._last: Exception | None = None
        self._number = 0
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._inbox = ""

    async def open(self, hosts: list[tuple[str, int]], login: dict[str, str], ssl: Ssl, seconds: float) -> None:
        """Connect to any of the hosts and log in; raises Unavailable."""
        places = [_place(host, port) for host, port in hosts]
        try:
            found = [(host, port, address) for host, port in hosts for address in await _addresses(host, port)]
            if not found:
                raise await _nowhere(hosts)
            await self.client.connect(
                servers=[f"nats://{_place(address, port)}" for _, port, address in found],
                name=CLIENT_NAME,
                **{name: value for name, value in login.items() if value},
                tls=tls.context(ssl, {address: host for host, _, address in found}),
                tls_hostname=ssl.server_name or None,
                connect_timeout=seconds,
                allow_reconnect=False,
                max_reconnect_attempts=1,  # at each of the hosts
                reconnect_time_wait=0,
                error_cb=self._complained,
                closed_cb=self._closed,
            )
            self._inbox = self.client.new_inbox()
            await self.client.subscribe(f"{self._inbox}.*", cb=self._answered)
        except Exception as error:
            first = error if isinstance(error, Unavailable) else self._last or error
            await self.close()
            raise translated(first, ", ".join(places), connecting=ssl.enable) from error

    async def close(self) -> None:
        """End the connection. After a failed TLS handshake the library waits for an end that never comes."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.client.close()

    async def _complained(self, error: Exception) -> None:
        self._last = error
        self.said = str(error)

    async def _closed(self) -> None:
        self.lost.set()

    async def ask(self, subject: str, payload: bytes, headers: dict[str, str] | None) -> asyncio.Future[None]:
        """Send a message; the future ends when a stream has stored it, or with the error why none has."""
        self._number += 1
        address = f"{self._inbox}.{self._number}"
        await self.client.publish(subject, payload, reply=address, headers=headers)
        future = self._waiting[address] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda _: self._waiting.pop(address, None))
        return future

    async def _answered(self, message: Any) -> None:
        future = self._waiting.get(message.subject)
        if future is None or future.done():
            return
        if message.headers and message.headers.get("Status") == NO_RESPONDERS:
            future.set_exception(nats.js.errors.NoStreamResponseError())
        elif (error := orjson.loads(message.data).get("error")) is not None:
            future.set_exception(nats.js.errors.APIError(**error))
        else:
            future.set_result(None)


def _place(host: str, port: int) -> str:
    return f"{f'[{host}]' if ':' in host else host}:{port}"


async def _addresses(host: str, port: int) -> list[str]:
    """The addresses of a host, none where its name is not known; raises Forbidden."""
    try:
        return await resolved(host, port)
    except socket.gaierror:
        return []


async def _nowhere(hosts: list[tuple[str, int]]) -> OSError:
    """Why none of the hosts has an address."""
    try:
        await resolved(*hosts[-1])
    except OSError as error:
        return error
    return OSError("the hosts have no address")


def _client_class() -> Any:
    """The library's client, which would go on in the clear, password and all, with a server that asks for no TLS, and
    log in at any address that a server calls a member of its cluster.
    """

    class Client(nats.aio.client.Client):
        def __init__(self, encrypted: bool) -> None:
            super().__init__()
            self._encrypted = encrypted

        async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
            if self._encrypted and not info.get("tls_required"):
                hint = "turn TLS on in the server, or off in the resource"
                raise Unavailable("tls", "the server does not speak TLS", hint, "INFO without tls_required")
            if info.get("tls_required") and not self._encrypted:
                hint = "turn TLS on in the resource"
                raise Unavailable("tls", "the server takes no connection without TLS", hint, "INFO with tls_required")
            await super()._process_info({**info, "connect_urls": []}, initial_connection)

    return Client
