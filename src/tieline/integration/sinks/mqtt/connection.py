"""A connection to a broker for publishing alone, made when there is something to publish.

Not the session that receives: that one stops reading when too much waits, and the answers to what we publish would wait
with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, Final

import mqtt5
from msgspec import Struct

from tieline.integration.sinks.base import tls
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.base.kind import Ssl
from tieline.integration.sinks.base.network import address, described, hung_up, unreachable
from tieline.integration.sinks.base.reach import open_connection
from tieline.integration.sinks.mqtt.outbox import Outbox

PORT: Final = 1883
CHUNK: Final = 1 << 16
#: CONNACK's reasons that speak of the login (MQTT 5, 3.2.2.2).
_LOGIN: Final = {133: "the client id", 134: "the user name or the password", 135: "this user", 140: "this login"}


class Peer(Struct, frozen=True, kw_only=True):
    """A broker, and how we make ourselves known to it."""

    server: str  # host:port
    client_id: str
    username: str | None = None
    password: str | None = None
    ssl: Ssl = Ssl()
    own: bool = False  # the broker that messages come from, which is where it is
    keep_alive: int = 30  # seconds
    max_inflight: int = 65535  # messages on their way that the broker has not taken yet
    connect_timeout: float = 10.0  # seconds
    write_timeout: float = 30.0  # seconds until a broker that takes nothing is given up


class MqttConnection:
    """At most one connection at a time, whoever asks for it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._writer: asyncio.StreamWriter | None = None
        self._outbox = Outbox(self._send)
        self._tasks: list[asyncio.Task[None]] = []
        self._connecting = asyncio.Lock()

    async def outbox(self) -> Outbox:
        """Where to publish, connected; raises Unavailable."""
        async with self._connecting:
            if self._writer is None:
                try:
                    async with asyncio.timeout(self._peer.connect_timeout):
                        await self._connect()
                except BaseException as error:
                    self._hang_up()
                    if not isinstance(error, OSError | TimeoutError | ValueError | IndexError):
                        raise
                    raise self._reason(error) from error
        return self._outbox

    async def alive(self) -> None:
        """Return when the broker has answered; raises Unavailable. A connection alone says nothing of its other end."""
        outbox = await self.outbox()
        outbox.pong.clear()
        self._send(mqtt5.PingReqPacket().write())
        try:
            async with asyncio.timeout(self._peer.connect_timeout):
                await outbox.pong.wait()
        except TimeoutError:
            self.give_up(self._peer.connect_timeout)
        if self._writer is None:
            said = f"{self._peer.server} is connected, and does not answer"
            raise Unavailable("tcp", said, "look at the broker, and at the way to it", "no answer to a ping")

    async def results(self, sending: Coroutine[Any, Any, list[BaseException | None]]) -> list[BaseException | None]:
        """What becomes of messages on their way, after `write_timeout` at the latest: the connection ends then."""
        task = asyncio.create_task(sending)
        try:
            done, _ = await asyncio.wait((task,), timeout=self._peer.write_timeout)
            if not done:
                self.give_up(self._peer.write_timeout)
            return await task
        finally:
            task.cancel()

    def give_up(self, seconds: float) -> None:
        """End a connection whose other end says nothing: TCP alone would wait for many minutes."""
        self._hang_up(TimeoutError(f"no answer from {self._peer.server} within {seconds:g} s"))

    def _reason(self, error: BaseException) -> Unavailable:
        peer = self._peer
        if isinstance(error, ValueError | IndexError) and not isinstance(error, OSError):
            hint = "check the port, and that the broker speaks MQTT 5"
            return Unavailable("login", f"{peer.server} does not answer as an MQTT 5 broker", hint, described(error))
        if isinstance(error, ConnectionResetError | EOFError):
            return hung_up(peer.server, described(error))
        return unreachable(error, peer.server)

    async def _connect(self) -> None:
        peer = self._peer
        host, port = address(peer.server, PORT)
        if peer.own:
            reader, self._writer = await asyncio.open_connection(host, port)
        else:
            reader, self._writer = await open_connection(host, port, tls.context(peer.ssl))
        password = peer.password.encode() if peer.password is not None else None
        packet = mqtt5.ConnectPacket(
            peer.client_id, username=peer.username, password=password, clean_start=True, keep_alive=peer.keep_alive
        )
        self._send(packet.write())
        if not (pending := await reader.read(CHUNK)):
            raise ConnectionResetError("the broker closed the connection")
        answer, size = mqtt5.read(memoryview(pending))
        if not isinstance(answer, mqtt5.ConnAckPacket):
            raise ValueError(f"instead of CONNACK came {type(answer).__name__}")
        if (code := int(answer.reason_code)) >= 128:
            cause = f"CONNACK {code} {answer.reason_str or ''}".strip()
            what = _LOGIN.get(code, "the connection")
            raise Unavailable("login", f"the broker does not take {what}", "check user name and password", cause)
        most, retains = int(answer.max_qos), answer.retain_available
        self._outbox.connected(min(answer.receive_max, peer.max_inflight), answer.max_packet_size, most, retains)
        self._tasks = [asyncio.create_task(self._read(reader, pending[size:])), asyncio.create_task(self._ping())]

    async def _read(self, reader: asyncio.StreamReader, pending: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            while chunk := await reader.read(CHUNK):
                pending = self._outbox.take(pending + chunk)
        self._hang_up()

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._peer.keep_alive / 2)
            self._send(mqtt5.PingReqPacket().write())

    def _send(self, data: bytes) -> None:
        if self._writer is not None and not self._writer.transport.is_closing():  # uvloop raises where it is lost
            self._writer.write(data)

    def _hang_up(self, why: OSError | None = None) -> None:
        self._outbox.disconnected(why or ConnectionError("the connection to the broker was lost"))
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    async def close(self) -> None:
        """Say goodbye, and end the connection."""
        if self._writer is not None:
            self._send(mqtt5.DisconnectPacket().write())
        self._hang_up()
