"""The events that rules can read from, and the fields of each: what happens to clients and sessions, as messages.

Whoever runs the broker publishes an event as a message on its topic, the payload being its fields as JSON. So events
are queued, acknowledged, retried and replayed like every other message. EMQX spells a topic in two ways; both
are taken.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

PREFIX: Final = "$events/"
PUBLISHED: Final = "$events/message/publish"  # EMQX's name for what topic filters read from
EVERY_MESSAGE: Final = "#"
_CLIENT: Final = ("id", "event", "clientid", "username", "peerhost", "peername", "timestamp", "node", "client_attrs")
_CONNECTION: Final = (
    "proto_name",
    "proto_ver",
    "keepalive",
    "clean_start",
    "expiry_interval",
    "conn_props",
    "sockname",
)

#: The fields of each event by its topic. Those that Mosquitto does not tell are NULL: see docs/rules.md.
EVENTS: Final[dict[str, tuple[str, ...]]] = {
    "$events/client/connected": (*_CLIENT, *_CONNECTION, "connected_at", "is_bridge"),
    "$events/client/disconnected": (
        *_CLIENT,
        *_CONNECTION,
        "connected_at",
        "disconnected_at",
        "reason",
        "disconn_props",
    ),
    "$events/session/subscribed": (*_CLIENT, "topic", "qos", "sub_props"),
    "$events/session/unsubscribed": (*_CLIENT, "topic", "qos", "unsub_props"),
}
#: Events of EMQX that no broker here tells.
NOT_TOLD: Final = (
    *("client/connack", "client/check_authn_complete", "client/check_authz_complete", "client/ping"),
    *("message/delivered", "message/acked", "message/dropped", "message/delivery_dropped", "delivery/dropped"),
    *("sys/alarm_activated", "sys/alarm_deactivated"),
)


def canonical(topic: str) -> str:
    """The topic as it is published: `$events/client_connected` is `$events/client/connected`, and
    `$events/message_publish` is every message.
    """
    if not topic.startswith(PREFIX):
        return topic
    noun, separator, verb = topic.removeprefix(PREFIX).partition("_")
    found = f"{PREFIX}{noun}/{verb}" if separator and "/" not in noun else topic
    return EVERY_MESSAGE if found == PUBLISHED else found


def name(topic: str) -> str:
    """The event's name as its field `event` has it: `client.connected`."""
    return topic.removeprefix(PREFIX).replace("/", ".")


def topic_of(event: object) -> str:
    """The topic of an event by its name, in any spelling; empty where it is none that is told."""
    found = canonical(PREFIX + str(event).removeprefix(PREFIX).replace(".", "/"))
    return found if found in EVENTS else ""


def fault(topic: str) -> str:
    """Why nothing ever comes from this topic; empty for an ordinary topic, and for an event that is told."""
    if topic.startswith("$bridges/"):
        return "sources other than the deployment's broker are not read from"
    if not topic.startswith(PREFIX) or canonical(topic) in (*EVENTS, EVERY_MESSAGE):
        return ""
    known = canonical(topic).removeprefix(PREFIX) in NOT_TOLD
    said = "this event is not told by the broker" if known else "there is no such event"
    return f"{said}; told are {', '.join(EVENTS)}"


def fields(topics: Iterable[str]) -> tuple[str, ...]:
    """The fields of the events among these topics, each once."""
    return tuple(dict.fromkeys(field for topic in topics for field in EVENTS.get(topic, ())))


def reads_events(topics: Iterable[str]) -> bool:
    """Whether any of these topics is an event's."""
    return any(topic.startswith(PREFIX) for topic in topics)
