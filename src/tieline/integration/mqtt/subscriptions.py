"""One session's subscriptions: what the broker has, what it should have, and the packets that make the difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import mqtt5

from tieline.integration.messages import topics
from tieline.integration.mqtt.session_store import Memory

AT_ONCE: Final = 100  # filters in one packet
AGAIN: Final = "it is asked again by itself, at the latest after a minute"


class Subscriptions:
    """Without I/O: packets go in and out as values. The memory knows what a former life of this session left behind."""

    def __init__(self, client_id: str, memory: Memory, share: str = "") -> None:
        self.wanted: frozenset[str] = frozenset()
        self._share = f"$share/{share}/" if share else ""  # MQTT 5, 4.8.2
        self.refused: set[str] = set()  # by the broker
        self._client_id = client_id
        self._memory = memory
        self._sent: set[str] = set()  # on this connection
        self._asked: dict[int, list[str]] = {}  # SUBSCRIBEs without an answer
        self._given_up: dict[int, list[str]] = {}  # UNSUBSCRIBEs without an answer
        self._packet_id = 0

    def want(self, filters: Iterable[str]) -> None:
        """What the broker should deliver from now on."""
        self.wanted = frozenset(self._share + filter for filter in filters)
        self.refused &= self.wanted

    def refusal(self, filters: Iterable[str] | None = None) -> str:
        """Which subscriptions the broker refused that these filters need, or any need; empty where there are none."""
        asked = sorted(filter.removeprefix(self._share) for filter in self.refused)
        ours = [one for one in asked if filters is None or any(topics.covers(one, f) for f in filters)]
        return f"the broker refused the subscription to {', '.join(ours)}; {AGAIN}" if ours else ""

    @property
    def settled(self) -> bool:
        """Whether the broker has answered every subscription."""
        return not self._asked and self._sent >= self.wanted

    def connected(self) -> None:
        """A new connection: nothing that was asked on the last one counts."""
        self._sent.clear()
        self._asked.clear()
        self._given_up.clear()

    def difference(self) -> bytes:
        """The packets that lead from what the broker may have to what is wanted.

        New subscriptions are asked for before old ones are given up, so that no message falls between them.
        """
        held = self._memory.filters(self._client_id)
        self._memory.remember(self._client_id, held | self.wanted)
        out = bytearray(self._subscribe(self.wanted - self._sent))
        for chosen in _portions(held - self.wanted):
            self._given_up[self._next_id()] = chosen
            out += mqtt5.UnsubscribePacket(self._packet_id, chosen).write()
        self._sent = set(self.wanted)
        return bytes(out)

    def again(self) -> bytes:
        """The packets that ask once more for what the broker refused, which may be allowed by now."""
        return self._subscribe(self.refused)

    def _subscribe(self, filters: Iterable[str]) -> bytes:
        out = bytearray()
        for chosen in _portions(filters):
            # Rules apply to what is published, so retained messages are not asked for.
            options = [mqtt5.TopicFilter(f, retain_handling=mqtt5.RetainHandling.SEND_NEVER) for f in chosen]
            self._asked[self._next_id()] = chosen
            out += mqtt5.SubscribePacket(self._packet_id, options).write()
        return bytes(out)

    def suback(self, packet: mqtt5.SubAckPacket) -> None:
        """The broker's answer to a SUBSCRIBE; reason codes from 128 on are refusals (MQTT 5, 3.9.3)."""
        for filter, code in zip(self._asked.pop(packet.packet_id, []), packet.reason_codes, strict=False):
            if int(code) < 128:
                self.refused.discard(filter)
            elif filter in self.wanted:
                self.refused.add(filter)

    def unsuback(self, packet: mqtt5.UnsubAckPacket) -> None:
        """The broker's answer to an UNSUBSCRIBE."""
        gone = set(self._given_up.pop(packet.packet_id, [])) - self.wanted
        self._memory.remember(self._client_id, self._memory.filters(self._client_id) - gone)

    def forgotten(self) -> None:
        """The broker has given up the session."""
        self._memory.forget(self._client_id)

    def _next_id(self) -> int:
        self._packet_id = self._packet_id % 65535 + 1
        return self._packet_id


def _portions(filters: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(filters)
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]
