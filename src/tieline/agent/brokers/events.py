"""What Mosquitto's log tells of clients and sessions, as events for rules: pure, from lines to messages.

Each type of line comes from a topic of its own, which only the broker publishes to, so that a client whose id reads
like a line of another type deceives nobody. Formats are those of Mosquitto 2.0 (src/handle_connect.c, loop.c).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

LOG: Final = "$SYS/broker/log/"
NOTICES, ERRORS = f"{LOG}N", f"{LOG}E"  # a client that takes over another's session is told as an error
SUBSCRIBED, UNSUBSCRIBED = f"{LOG}M/subscribe", f"{LOG}M/unsubscribe"
TOPICS: Final = (NOTICES, ERRORS, SUBSCRIBED, UNSUBSCRIBED)
LOG_TYPES: Final = ("notice", "subscribe", "unsubscribe")

_STAMP: Final = re.compile(r"^\d+: ")
_CONNECTED: Final = re.compile(
    r"^New client connected from (?P<host>.*):(?P<port>\d+) as (?P<id>.*)"
    r" \(p(?P<version>\d), c(?P<clean>[01]), k(?P<keepalive>\d+)(?:, u'(?P<username>.*)')?\)\.$"
)
#: How a line on the end of a connection goes on after the client's id, and EMQX's word for that reason.
_REASONS: Final = (
    (" disconnected.", "normal"),
    (" closed its connection.", "tcp_closed"),
    (" has exceeded timeout, disconnecting.", "keepalive_timeout"),
    (" been disconnected by administrative action.", "kicked"),
    (" already connected, closing old connection.", "takenover"),
    (" disconnected, not authorised.", "not_authorized"),
    (" disconnected due to protocol error.", "proto_error"),
    (" disconnected due to malformed packet.", "malformed_packet"),
    (" disconnected due to oversize packet.", "packet_too_large"),
)
_SOCKET: Final = re.compile(r"^Bad socket read/write on client (?P<id>.*): [^:]*$")
_PROTOCOLS: Final = {"1": 3, "2": 4, "5": 5}  # Mosquitto's number, MQTT's own


class Told(NamedTuple):
    """An event: its topic, and its fields without id."""

    topic: str
    fields: dict[str, Any]


class Clients:
    """Who is connected, from line to line; clients of the user `ours` are the agent's own, and not told. `peer` knows
    where a client is that the broker sees at an address of the agent's.
    """

    def __init__(self, ours: str, peer: Callable[[str], tuple[str, int] | None] = lambda _: None) -> None:
        self._ours, self._peer = ours, peer
        self._known: dict[str, dict[str, Any]] = {}

    def read(self, topic: str, line: str, now: int) -> Told | None:
        """The event that one line tells at this Unix time in milliseconds; None for a line that tells none."""
        text = _STAMP.sub("", line)
        if topic in (NOTICES, ERRORS):
            return self._connected(text, now) or self._ended(text, now)
        return self._session(topic == SUBSCRIBED, text, now)

    def _connected(self, text: str, now: int) -> Told | None:
        if (found := _CONNECTED.match(text)) is None:
            return None
        host, port = self._peer(found["host"]) or (found["host"], found["port"])
        client = {
            "clientid": found["id"],
            "username": found["username"],
            "peerhost": host,
            "peername": f"{host}:{port}",
            "proto_name": "MQTT",
            "proto_ver": _PROTOCOLS.get(found["version"], 4),
            "keepalive": int(found["keepalive"]),
            "clean_start": found["clean"] == "1",
            "is_bridge": False,
            "connected_at": now,
        }
        self._known[found["id"]] = client
        return self._told("$events/client/connected", client, now)

    def _ended(self, text: str, now: int) -> Told | None:
        id, reason = _end(text)
        client = self._known.pop(id, {"clientid": id})
        if not reason or "connected_at" not in client:
            return None  # another notice, or the end of a connection that was never let in
        known = {name: value for name, value in client.items() if name != "is_bridge"}
        return self._told("$events/client/disconnected", {**known, "reason": reason, "disconnected_at": now}, now)

    def _session(self, subscribed: bool, text: str, now: int) -> Told | None:
        """`id qos filter` or `id filter`; an id may have spaces, so the longest that is connected counts."""
        ids = [id for id in self._known if text.startswith(f"{id} ")]
        if not ids:
            return None
        id = max(ids, key=len)
        client = {name: self._known[id][name] for name in ("clientid", "username", "peerhost", "peername")}
        rest = text[len(id) + 1 :]
        if not subscribed:
            return self._told("$events/session/unsubscribed", {**client, "topic": rest}, now)
        qos, _, topic = rest.partition(" ")
        if qos not in ("0", "1", "2"):
            return None
        return self._told("$events/session/subscribed", {**client, "topic": topic, "qos": int(qos)}, now)

    def _told(self, topic: str, fields: dict[str, Any], now: int) -> Told | None:
        if fields["username"] == self._ours:
            return None
        return Told(topic, {**fields, "timestamp": now})


def _end(text: str) -> tuple[str, str]:
    """The client id and the reason of a line on the end of a connection; two empty texts for another line."""
    if broken := _SOCKET.match(text):
        return broken["id"], "sock_error"
    if text.startswith("Client "):
        for ending, reason in _REASONS:
            if text.endswith(ending):
                return text[len("Client ") : -len(ending)], reason
    return "", ""
