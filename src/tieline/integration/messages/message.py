"""One message from the broker, as rules see it: read lazily, its JSON payload decoded at most once."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

import mqtt5
import msgspec

from tieline.integration.messages import events, json_text

#: The fields that a rule can name, with their meaning. What the broker does not tell is NULL.
FIELDS: Final[dict[str, str]] = {
    "id": "a unique id of this delivery",
    "event": "what happened: message.publish, or the event's name",
    "clientid": "the publisher's client id",
    "username": "the publisher's user name",
    "payload": "the payload; payload.x reads it as JSON",
    "peerhost": "the publisher's IP address",
    "topic": "the topic name",
    "qos": "the quality of service of the delivery: 0, 1 or 2",
    "flags": "retain and dup, as booleans",
    "headers": "nothing yet, kept for rules that name it",
    "pub_props": "the MQTT 5 properties of the message",
    "timestamp": "Unix time in milliseconds at which the message reached the integration",
    "publish_received_at": "the same as timestamp",
    "node": "the name of the node that runs the rule",
    "client_attrs": "attributes of the client, by name",
}
ROW_ID: Final = "tieline_id"  # in an output that is to be written once: the same for the same row of the same message
CARRIED: Final = "tieline_carried"  # in an output that becomes a message: what came with the message it was made of
DIRECT: Final = frozenset({"topic", "qos", "timestamp"})  # attributes that need no reading of the packet

UNREAD: Final = object()
NOT_JSON: Final = object()


class Message(msgspec.Struct, eq=False, gc=False):
    """A message and what becomes of it: `more` counts the rows made of it beyond the first that are not safe yet.

    A struct because it is made for every message, and its constructor is the cheapest that there is.
    """

    topic: str
    payload: bytes = b""
    qos: int = 0
    timestamp: int = 0
    packet: mqtt5.PublishPacket | None = None
    more: int = 0
    decoded: Any = UNREAD  # the payload as JSON, once somebody asked
    known: dict[str, Any] | None = None  # the details, once somebody asked

    trusted: ClassVar[bool] = True  # whether the broker appends who published it

    @classmethod
    def sample(cls, context: Mapping[str, Any]) -> Message:
        """A message made of the fields that are given; a payload that is not text is taken as JSON."""
        if topic := events.topic_of(context.get("event", context.get("event_type", ""))):
            told = json_text.encode({**context, "event": events.name(topic)})
            return cls(topic, told.encode(), 0, context.get("timestamp", 0))
        payload = context.get("payload", "")
        if isinstance(payload, str):
            payload = payload.encode()
        elif not isinstance(payload, bytes):
            payload = json_text.encode(payload).encode()
        message = cls(str(context.get("topic", "")), payload, context.get("qos", 0), context.get("timestamp", 0))
        known = {name: value for name, value in context.items() if name in FIELDS and name not in DIRECT}
        known.pop("payload", None)
        message.known = {**message.details(), **known}
        return message

    @property
    def fleeting(self) -> bool:
        """Whether the broker sent it at QoS 0, and keeps it for nobody; `qos` is 0 too where the session was lost."""
        return self.packet is not None and not self.packet.packet_id

    def document(self) -> Any:
        """The payload decoded as JSON, NOT_JSON where it is none."""
        if self.decoded is UNREAD:
            try:
                self.decoded = json_text.decode(self.payload)
            except json_text.NOT_JSON:
                self.decoded = NOT_JSON
        return self.decoded

    def text(self) -> str | bytes:
        """The payload as text, or as it came where it is not UTF-8."""
        try:
            return self.payload.decode()
        except UnicodeDecodeError:
            return self.payload

    def details(self) -> dict[str, Any]:
        """The fields that take reading the packet's properties, by name."""
        if self.known is None:
            self.known = _details(self)
        return self.known

    def fields(self) -> dict[str, Any]:
        """Every field by name, as `SELECT *` gives them."""
        if self.topic.startswith(events.PREFIX):
            return dict(self.details())
        direct = {"topic": self.topic, "qos": self.qos, "timestamp": self.timestamp, "payload": self.text()}
        return {**self.details(), **direct}

    def chosen(self, names: Sequence[str]) -> dict[str, Any]:
        """These fields by name, NULL where it has none: for rules that read events, whose fields differ."""
        fields = self.fields()
        return {name: fields.get(name) for name in names}


class Foreign(Message, eq=False, gc=False):
    """A message of a broker that does not tell who published it."""

    trusted: ClassVar[bool] = False


def _details(message: Message) -> dict[str, Any]:
    if message.topic.startswith(events.PREFIX):
        told = message.document()
        return told if isinstance(told, dict) else {}
    packet = message.packet
    pairs = packet.user_properties if packet is not None else []
    said, pairs = origin(pairs) if message.trusted else ({}, pairs)
    return {
        "id": said.get("id") or uuid.uuid4().hex.upper(),
        "event": "message.publish",
        "clientid": said.get("clientid"),
        "username": said.get("username"),
        "peerhost": said.get("peerhost"),
        "flags": {"retain": packet is not None and packet.retain, "dup": packet is not None and packet.duplicate},
        "headers": {},
        "pub_props": _properties(packet, pairs) if packet is not None else {},
        "publish_received_at": message.timestamp,
        "node": None,
        "client_attrs": {},
    }


def origin(pairs: list[tuple[str, str]]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """What the broker appended to the user properties, by name, and the device's own properties.

    The broker's plugin appends them in a fixed order after whatever the device sent, the client id always. So only the
    end of the list counts: a device cannot put anything behind it, and its own pairs of these names stay its own.
    """
    said: dict[str, str] = {}
    end = len(pairs)
    for name in ("username", "clientid", "peerhost", "id"):
        if end and pairs[end - 1][0] == name:
            end -= 1
            said[name] = pairs[end][1]
        elif name == "clientid":
            return {}, pairs
    return said, pairs[:end]


def _properties(packet: mqtt5.PublishPacket, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """The message's properties under the names of the MQTT 5 specification (2.2.2.2), with hyphens."""
    found = {
        "Message-Expiry-Interval": packet.message_expiry_interval,
        "Content-Type": packet.content_type,
        "Response-Topic": packet.response_topic,
        "Correlation-Data": packet.correlation_data,
        "Payload-Format-Indicator": packet.payload_format_indicator or None,
    }
    properties: dict[str, Any] = {name: value for name, value in found.items() if value is not None}
    properties["User-Property"] = dict(pairs)
    properties["User-Property-Pairs"] = [{"key": key, "value": value} for key, value in pairs]
    return properties


def carried(items: Iterable[tuple[dict[str, Any], Message]]) -> list[tuple[dict[str, Any], Message]]:
    """The outputs with what came with their message: its MQTT 5 properties, and when it came."""
    return [({**output, CARRIED: _carried(message)}, message) for output, message in items]


def shown(output: dict[str, Any]) -> dict[str, Any]:
    """The output without what goes with it unseen."""
    return {name: value for name, value in output.items() if name != CARRIED} if CARRIED in output else output


def _carried(message: Message) -> dict[str, Any]:
    known = message.details().get("pub_props")
    if message.topic.startswith(events.PREFIX) or not isinstance(known, dict):
        return {"at": message.timestamp}
    told = [pair for pair in known.get("User-Property-Pairs") or () if isinstance(pair, dict)]
    pairs = [[pair["key"], pair["value"]] for pair in told if {"key", "value"} <= pair.keys()]
    properties = {name: value for name, value in known.items() if not name.startswith("User-Property")}
    return {"at": message.timestamp, "pairs": pairs, "properties": properties}


def identified(items: Iterable[tuple[dict[str, Any], Message]], action: str) -> list[tuple[dict[str, Any], Message]]:
    """The outputs with the id of their row: the message's, the action's, since another one may write to the same table,
    and a number where a message gives several rows.
    """
    found, seen = [], Counter[int]()
    for output, message in items:
        number, row = seen[id(message)], f"{message.details()['id']}-{action}"
        seen[id(message)] += 1
        found.append(({**output, ROW_ID: f"{row}-{number}" if number else row}, message))
    return found
