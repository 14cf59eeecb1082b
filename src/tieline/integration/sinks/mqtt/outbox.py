"""Messages that we publish ourselves, each until the broker has taken the responsibility for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import mqtt5

PACKET_IDS: Final = 65535


class Refused(ValueError):
    """The broker did not take a message, with a reason code (MQTT 5, 3.4.2.1)."""

    def __init__(self, code: int, reason: str | None) -> None:
        super().__init__(f"the broker refused the message: {reason or f'reason code {code}'}")
        self.denied = code == 135  # not authorized
        self.quota = code == 151  # quota exceeded


class Outbox:
    """Without I/O but for `send`. At most the broker's receive maximum is on its way; the others wait here."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._packet_id = 0
        self._limit = 0  # no connection
        self._largest: int | None = None  # bytes of a packet
        self._max_qos, self._retains = 2, True
        self._taken: dict[int, asyncio.Future[None]] = {}
        self._room = asyncio.Event()
        self._ended: OSError = ConnectionError("there is no connection to the broker")
        self.pong = asyncio.Event()  # the broker answered a ping, or the connection ended

    def connected(
        self, receive_maximum: int, largest: int | None = None, max_qos: int = 2, retains: bool = True
    ) -> None:
        """The broker takes so many messages at once, no larger packet, no higher QoS, and none to be retained where it
        does not retain (MQTT 5, 3.2.2.3.3 to 3.2.2.3.6).
        """
        self._limit, self._largest, self._max_qos, self._retains = receive_maximum, largest, max_qos, retains
        self._room.set()

    def disconnected(self, why: OSError) -> None:
        """Whoever waits for an answer gets none, but this error."""
        self._limit, self._ended = 0, why
        self._room.set()
        self.pong.set()
        waiting, self._taken = self._taken, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(why)

    def check(self, qos: int, retain: bool) -> None:
        """Raises ValueError for what the broker has said that it does not take."""
        if qos > self._max_qos:
            raise ValueError(f"QoS {qos}, while the broker takes up to {self._max_qos}")
        if retain and not self._retains:
            raise ValueError("a message to be retained, while the broker retains none")

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool, **properties: Any) -> None:
        """Return when the broker has the message; raises OSError where nobody knows, ValueError for a topic that cannot
        be published to.
        """
        while self._limit and len(self._taken) >= self._limit:
            self._room.clear()
            await self._room.wait()
        if not self._limit:
            raise self._ended
        self.check(qos, retain)
        if qos == 0:
            self._send(self._fitting(mqtt5.PublishPacket(topic, payload, retain=retain, **properties).write()))
            return
        packet_id = self._free_id()
        level = mqtt5.QoS.AT_LEAST_ONCE if qos == 1 else mqtt5.QoS.EXACTLY_ONCE
        packet = self._fitting(
            mqtt5.PublishPacket(topic, payload, qos=level, retain=retain, packet_id=packet_id, **properties).write()
        )
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._taken[packet_id] = future
        self._send(packet)
        await future

    def _fitting(self, packet: bytes) -> bytes:
        """The packet; raises ValueError for one that the broker would answer by ending the connection."""
        if self._largest is not None and len(packet) > self._largest:
            raise ValueError(f"a message of {len(packet)} bytes, while the broker takes {self._largest}")
        return packet

    def _free_id(self) -> int:
        self._packet_id = self._packet_id % PACKET_IDS + 1
        while self._packet_id in self._taken:
            self._packet_id = self._packet_id % PACKET_IDS + 1
        return self._packet_id

    def take(self, data: bytes) -> bytes:
        """Handle every whole packet that the broker sent, and return the rest."""
        view, at = memoryview(data), 0
        while at < len(data):
            try:
                packet, size = mqtt5.read(view[at:])
            except IndexError:
                break
            at += size
            self._handle(packet)
        return data[at:]

    def _handle(self, packet: mqtt5.Packet) -> None:
        """MQTT 5, 4.3: PUBACK ends QoS 1; PUBREC is answered with PUBREL, unless it refuses, and PUBCOMP ends QoS 2."""
        if isinstance(packet, mqtt5.PubRecPacket) and int(packet.reason_code) < 128:
            self._send(mqtt5.PubRelPacket(packet.packet_id).write())
        elif isinstance(packet, mqtt5.PubAckPacket | mqtt5.PubRecPacket):
            self._finish(packet.packet_id, int(packet.reason_code), packet.reason_str)
        elif isinstance(packet, mqtt5.PubCompPacket):
            self._finish(packet.packet_id, 0, None)
        elif isinstance(packet, mqtt5.PingRespPacket):
            self.pong.set()
        elif isinstance(packet, mqtt5.DisconnectPacket):
            raise ConnectionError(f"the broker ended the connection: {packet.reason_str or packet.reason_code!r}")

    def _finish(self, packet_id: int, code: int, reason: str | None) -> None:
        future = self._taken.pop(packet_id, None)
        self._room.set()
        if future is None or future.done():
            return
        if code >= 128:
            future.set_exception(Refused(code, reason))
        else:
            future.set_result(None)
