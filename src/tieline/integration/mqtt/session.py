"""An MQTT 5 session that outlives its connections: received messages are acknowledged when the caller says so.

Packets are parsed and made by `mqtt5`, a sans-I/O library (BSD licence). The connection is kept for ever: lost, it is
made again with growing pauses. Back-pressure is twofold: the broker sends at most `receive maximum` unacknowledged
messages, and `read(False)` stops reading altogether.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import mqtt5
from mqtt5 import PublishPacket

from tieline.base.backoff import Again
from tieline.integration.config.shapes import Broker
from tieline.integration.messages.deliveries import Deliveries
from tieline.integration.messages.message import Foreign, Message
from tieline.integration.mqtt.handshake import Refused, accepted, connect, said
from tieline.integration.mqtt.heartbeat import Heartbeat
from tieline.integration.mqtt.session_store import Memory
from tieline.integration.mqtt.subscriptions import Subscriptions
from tieline.integration.sinks.base.reach import open_connection

CHUNK: Final = 1 << 18  # bytes read at once
CONNECT_SECONDS: Final = 10.0  # until the broker accepted or refused
FIRST_PAUSE: Final = 0.1  # seconds before the second attempt; doubled up to the longest
LONGEST_PAUSE: Final = 5.0
FIRST_REQUEST: float = 1.0  # seconds before a subscription that was refused is asked for again; doubled likewise
LONGEST_REQUEST: Final = 60.0
LOOK_SECONDS: Final = 0.5  # between two looks at a connection that is not read from

Receive = Callable[[list[Message]], None]
log = logging.getLogger(__name__)


class Session:
    """One client id at the broker. `run` keeps it, `subscribe` may be called at any time.

    `receive` gets each buffer's messages. `outstanding` says which of them are not acknowledged: the broker sends them
    again after a lost connection, and they are not handed over twice. Where the broker has lost the session too, their
    acknowledgement has no meaning left, and their `qos` becomes 0.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        receive: Receive,
        outstanding: Callable[[], Iterable[Message]],
        memory: Memory,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.broker = broker
        self.client_id = client_id
        self.subscriptions = Subscriptions(client_id, memory, broker.share)
        self.connected = False
        self.reason = "not connected yet"
        self.subscribed = asyncio.Event()
        self._receive = receive
        self._outstanding = outstanding
        self._clock = clock
        self._message = Message if broker.origin else Foreign
        self._writer: asyncio.StreamWriter | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._heartbeat = Heartbeat(self._write)
        self._refused = Again(lambda: self._write(self.subscriptions.again()), FIRST_REQUEST, LONGEST_REQUEST)
        self._deliveries = Deliveries()
        self._heard = 0.0
        self._handlers: dict[type, Callable[[Any], None]] = {
            mqtt5.PubRelPacket: self._pubrel,
            mqtt5.SubAckPacket: self._suback,
            mqtt5.UnsubAckPacket: self._unsuback,
            mqtt5.PingRespPacket: self._heartbeat.answered,
            mqtt5.DisconnectPacket: self._disconnect,
        }

    async def run(self) -> None:
        """Connect, serve and connect again until cancelled."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                await self._serve()
            except Exception as error:  # whatever it was, the broker still has what is not acknowledged
                if not isinstance(error, (OSError, TimeoutError, Refused, ValueError)):
                    log.exception("the session of %s broke", self.client_id)
                self.reason = str(error) or type(error).__name__
            finally:
                self._hang_up()
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _serve(self) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, pending = await self._connect()
        self.connected, self.reason, self._heard = True, "", time.monotonic()
        self._reconcile()
        pinging = asyncio.create_task(self._keep_alive())
        try:
            while True:
                pending = self._take(pending)
                await self._opened()
                chunk = await reader.read(CHUNK)
                if not chunk:
                    raise ConnectionError("the broker closed the connection")
                self._heard = time.monotonic()
                pending += chunk
        finally:
            pinging.cancel()

    async def _opened(self) -> None:
        """Return when reading is allowed; raises ConnectionError where the connection is lost meanwhile."""
        while not self._open.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._open.wait()
            self._heartbeat.ask()  # who does not read sees a lost connection by writing only
            if not self._reachable:
                raise ConnectionError("the connection was lost")

    async def confirmed(self) -> None:
        """Return when the broker has confirmed the subscriptions, on a connection that is still there."""
        while True:
            await self.subscribed.wait()
            if not self._open.is_set() or (await self.heard() and self.subscribed.is_set()):
                return

    async def heard(self) -> bool:
        """Return when all has come that the broker sent until now; False where there is no connection to it."""
        return self.connected and await self._heartbeat.answer()

    async def _connect(self) -> tuple[asyncio.StreamReader, bytes]:
        """A connection that the broker accepted, and what it sent after saying so."""
        broker = self.broker
        reader, self._writer = await _opened(broker)
        self._writer.write(connect(broker, self.client_id))
        pending = b""
        while True:
            chunk = await reader.read(CHUNK)
            if not chunk:
                raise ConnectionError("the broker closed the connection before accepting it")
            pending += chunk
            with contextlib.suppress(IndexError):  # not all of it is here yet
                packet, size = mqtt5.read(memoryview(pending))
                self._accepted(accepted(packet))
                return reader, pending[size:]

    async def end(self) -> None:
        """Make the broker forget a session that nobody uses any more; raises OSError or Refused."""
        reader, self._writer = await _opened(self.broker)
        try:
            self._write(connect(self.broker, self.client_id, forget=True))
            packet, _ = mqtt5.read(memoryview(await reader.read(CHUNK)))
            self._accepted(accepted(packet))
            self.connected = True
            await self.close(forget=True)
        finally:
            self._hang_up()

    def _accepted(self, packet: mqtt5.ConnAckPacket) -> None:
        self._deliveries.connected(packet.session_present, self._outstanding())
        self.subscriptions.connected()

    def _take(self, data: bytes) -> bytes:
        """Handle every whole packet and return the rest."""
        view, at, end, messages = memoryview(data), 0, len(data), []
        read, make, now = mqtt5.read, self._message, int(self._clock() * 1000)
        while at < end:
            try:
                packet, size = read(view[at:])
            except IndexError:  # the rest of this packet has not arrived yet
                break
            if packet.__class__ is PublishPacket:
                qos = data[at] >> 1 & 3  # MQTT 5, 3.3.1; a third of the time that the packet's own attribute takes
                messages.append(make(packet.topic, packet.payload, qos, now, packet))
            else:
                self._handle(packet)
            at += size
        if messages:
            if self._deliveries.expected:
                messages, answer = self._deliveries.sift(messages)
                self._write(answer)
            self._receive(messages)
        return data[at:]

    def _handle(self, packet: mqtt5.Packet) -> None:
        handle = self._handlers.get(type(packet))
        if handle is None:
            raise Refused(f"the broker sent {type(packet).__name__}, which a client does not expect")
        handle(packet)

    def deafness(self, filters: Iterable[str]) -> dict[str, str]:
        """Why messages of these filters do not come: the `status` and `reason` of a rule; empty where they come."""
        if not self.connected:
            return {"status": "waiting", "reason": f"the broker: {self.reason}"}
        refused = self.subscriptions.refusal(filters)
        return {"status": "failed", "reason": refused} if refused else {}

    # What the caller asks for

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """Tell the broker that these messages are safe; QoS 0 needs nothing."""
        if self.connected and self._reachable:
            self._write(self._deliveries.acknowledge(messages))
        else:
            self._deliveries.finish(messages)

    def read(self, allowed: bool) -> None:
        """Read nothing more, or read again."""
        (self._open.set if allowed else self._open.clear)()

    def subscribe(self, filters: Iterable[str]) -> None:
        """Make these the subscriptions, as soon as there is a connection."""
        self.subscriptions.want(() if self.broker.drain else filters)
        self._reconcile()

    async def close(self, forget: bool = False) -> None:
        """Say goodbye. The broker keeps the session, unless it is to be forgotten."""
        if self._writer is not None and self.connected:
            self._write(mqtt5.DisconnectPacket(session_expiry_interval=0 if forget else None).write())
            if forget:
                with contextlib.suppress(OSError):  # what is remembered for too long is ended once more by the sweep
                    self.subscriptions.forgotten()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await self._writer.drain()
        self._hang_up()

    def abort(self, reason: str) -> None:
        """End the connection, so that the broker sends again what is not acknowledged."""
        self.reason = reason
        if self._writer is not None:
            self._writer.transport.abort()

    # Inside

    def _reconcile(self) -> None:
        if self.connected:
            self.subscribed.clear()
            self.reason = self.subscriptions.refusal()
            self._write(self.subscriptions.difference())
            self._answered()

    @property
    def _reachable(self) -> bool:
        """Whether the connection takes bytes: while nothing is read, it may be lost already, and nobody knows yet."""
        return self._writer is not None and not self._writer.transport.is_closing()

    def _write(self, data: bytes) -> None:
        if self._writer is not None and data and self._reachable:  # uvloop raises RuntimeError where it is lost
            self._writer.write(data)

    def _hang_up(self) -> None:
        self.connected = False
        self.subscribed.clear()
        self._heartbeat.lost()
        self._refused.stop()  # all is asked for on the next connection
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    async def _keep_alive(self) -> None:
        """Keep the connection alive, and end it when the broker does not answer (MQTT 5, 3.1.2.10)."""
        interval = self.broker.keep_alive / 2
        while True:
            await asyncio.sleep(interval)
            silent = time.monotonic() - self._heard > self.broker.keep_alive * 1.5
            if silent and self._open.is_set() and self._writer is not None:
                self.reason = "the broker does not answer"
                self._writer.transport.abort()
            self._heartbeat.ask()

    def _pubrel(self, packet: mqtt5.PubRelPacket) -> None:
        self._deliveries.release(packet.packet_id)
        self._write(mqtt5.PubCompPacket(packet.packet_id).write())

    def _suback(self, packet: mqtt5.SubAckPacket) -> None:
        self.subscriptions.suback(packet)
        self.reason = self.subscriptions.refusal()
        self._answered()

    def _unsuback(self, packet: mqtt5.UnsubAckPacket) -> None:
        if self.connected:
            self.subscriptions.unsuback(packet)

    def _answered(self) -> None:
        if self.subscriptions.settled:
            self.subscribed.set()
            self._refused.need(bool(self.subscriptions.refused))

    def _disconnect(self, packet: mqtt5.DisconnectPacket) -> None:
        raise Refused(f"the broker ended the connection: {said(packet.reason_str, packet.reason_code)}")


async def _opened(broker: Broker) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the broker; raises OSError, Forbidden among it."""
    dial = open_connection if broker.foreign else asyncio.open_connection
    return await dial(broker.host, broker.port, limit=CHUNK * 2)
