"""Which deliveries of a session are new, and what acknowledges them: without I/O, packets are returned as bytes.

MQTT 5, 4.3 and 4.4: PUBACK ends a QoS 1 delivery; PUBREC moves the responsibility of a QoS 2 delivery to us. On a new
connection the broker delivers again, as a duplicate under the same id, what it has no acknowledgement for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tieline.integration.messages.message import Message

PUBACK: Final = 0x40020000  # with the packet id in the lower half, the whole packet (MQTT 5, 3.4)
PUBREC: Final = 0x50020000


def _id(message: Message) -> int:
    packet = message.packet
    return packet.packet_id or 0 if packet is not None and message.qos else 0


class Deliveries:
    """The ids of one session that mean something beyond one connection."""

    def __init__(self) -> None:
        self._in_hand: set[int] = set()  # that the broker will send once more, though we have them
        self._released: set[int] = set()  # of QoS 2 between PUBREC and PUBREL
        self._safe: set[int] = set()  # of what became safe while there was no connection to say so

    @property
    def expected(self) -> bool:
        """Whether any message may be one that is known."""
        return bool(self._in_hand or self._released or self._safe)

    def connected(self, kept: bool, outstanding: Iterable[Message]) -> None:
        """A new connection. Where the broker has not kept the session, acknowledging means nothing any more."""
        if kept:
            self._in_hand = {id for message in outstanding if (id := _id(message))}
            return
        for message in outstanding:
            message.qos = 0
        self._in_hand.clear()
        self._released.clear()
        self._safe.clear()

    def sift(self, messages: Iterable[Message]) -> tuple[list[Message], bytes]:
        """The messages that are new, and what to answer to the others."""
        fresh, safe, again = [], [], []
        for message in messages:
            id = _id(message)
            duplicate = id and message.packet is not None and message.packet.duplicate
            if id in self._safe and duplicate:
                safe.append(message)
            elif message.qos == 2 and id in self._released:
                again.append((PUBREC | id).to_bytes(4, "big"))
            elif not (id in self._in_hand and duplicate):
                fresh.append(message)
            self._in_hand.discard(id)
            self._safe.discard(id)
        return fresh, b"".join(again) + self.acknowledge(safe)

    def acknowledge(self, messages: Iterable[Message]) -> bytes:
        """What tells the broker that these messages are safe; QoS 0 needs nothing."""
        out = []
        for message in messages:
            qos = message.qos
            if qos == 1:
                out.append((PUBACK | message.packet.packet_id).to_bytes(4, "big"))  # type: ignore[union-attr,operator]
            elif qos == 2:
                out.append((PUBREC | message.packet.packet_id).to_bytes(4, "big"))  # type: ignore[union-attr,operator]
                self._released.add(message.packet.packet_id)  # type: ignore[union-attr,arg-type]
        return b"".join(out)

    def finish(self, messages: Iterable[Message]) -> None:
        """These messages are safe, and there is no connection: they are acknowledged when they are delivered again."""
        self._safe.update(id for message in messages if (id := _id(message)))

    def release(self, packet_id: int) -> None:
        """The broker has given up a QoS 2 delivery; its id may be used again."""
        self._released.discard(packet_id)
