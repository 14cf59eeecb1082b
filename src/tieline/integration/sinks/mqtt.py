"""A broker as a place to write to: each output of a rule is published, over a connection of its own.

Not over the session that receives: that one stops reading when too much waits, and the answers to what we publish would
wait with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Annotated, Any, Final

import mqtt5

from tieline.integration.rules.errors import TemplateError
from tieline.integration.rules.template import Path, text_template
from tieline.integration.sinks.base import Rejected, Unavailable
from tieline.integration.sinks.kind import Action, Value, label
from tieline.integration.sinks.mqtt_outbox import Outbox

CHUNK: Final = 1 << 16
CONNECT_SECONDS: Final = 10.0


class Broker(Value, frozen=True, kw_only=True):
    """The MQTT 5 broker that messages come from, and how to be known to it."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = None
    origin: bool = True  # the broker's plugin appends the message's id and who published it to each message
    events: bool = True  # what happens to clients is published
    share: str = ""  # the group of clients that share the messages; none: all of them come here
    ordered: bool = True  # where messages are shared, whether this client takes those whose order is kept
    keep_alive: int = 30  # seconds
    receive_maximum: int = 65535  # messages that may wait for their commit, per resource
    receive_bytes: int = 64 << 20  # of payload that may wait, per resource; beyond it nothing is read


class Republish(Action, frozen=True, kw_only=True, tag="republish"):
    """Publishes each output of the rule on the broker that the messages came from."""

    topic: Annotated[str, label("Topic template")]
    payload: Annotated[str, label("Payload template", kind="lines")] = "${.}"
    qos: int = 1
    retain: bool = False
    resource: str = ""  # none: the broker itself
    batch_time: float = 0.0

    def paths(self) -> tuple[Path, ...]:
        return (*text_template(self.topic).paths, *text_template(self.payload).paths)


class MqttSink:
    """Publishes to a broker as `client_id`, connecting when there is something to publish."""

    def __init__(self, broker: Broker, client_id: str) -> None:
        self._broker = broker
        self._client_id = client_id
        self._writer: asyncio.StreamWriter | None = None
        self._outbox = Outbox(self._send)
        self._tasks: list[asyncio.Task[None]] = []
        self._connecting = asyncio.Lock()

    def writer(self, action: Action) -> MqttWriter:
        if not isinstance(action, Republish):
            raise TemplateError(f"{type(action).__name__} cannot write to a broker")
        return MqttWriter(self, action)

    async def check(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self.writer(action)
        await self.outbox()

    async def close(self) -> None:
        if self._writer is not None:
            self._send(mqtt5.DisconnectPacket().write())
        self._hang_up()

    async def outbox(self) -> Outbox:
        """Where to publish, connected; raises Unavailable."""
        async with self._connecting:  # one connection, however many wait for it
            if self._writer is None:
                try:
                    await asyncio.wait_for(self._connect(), CONNECT_SECONDS)
                except (OSError, TimeoutError, ValueError, IndexError) as error:
                    self._hang_up()
                    server = f"{self._broker.host}:{self._broker.port}"
                    cause = f"{type(error).__name__}: {error}"
                    raise Unavailable("tcp", f"the broker at {server} cannot be reached", "", cause) from error
        return self._outbox

    async def _connect(self) -> None:
        broker = self._broker
        reader, self._writer = await asyncio.open_connection(broker.host, broker.port)
        password = broker.password.encode() if broker.password is not None else None
        packet = mqtt5.ConnectPacket(
            self._client_id, username=broker.username, password=password, clean_start=True, keep_alive=broker.keep_alive
        )
        self._send(packet.write())
        answer, size = mqtt5.read(memoryview(pending := await reader.read(CHUNK)))
        if not isinstance(answer, mqtt5.ConnAckPacket) or int(answer.reason_code) >= 128:
            raise ConnectionError(f"the broker refused the connection: {answer}")
        self._outbox.connected(answer.receive_max)
        self._tasks = [asyncio.create_task(self._read(reader, pending[size:])), asyncio.create_task(self._ping())]

    async def _read(self, reader: asyncio.StreamReader, pending: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            while chunk := await reader.read(CHUNK):
                pending = self._outbox.take(pending + chunk)
        self._hang_up()

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(self._broker.keep_alive / 2)
            self._send(mqtt5.PingReqPacket().write())

    def _send(self, data: bytes) -> None:
        if self._writer is not None:
            self._writer.write(data)

    def _hang_up(self) -> None:
        self._outbox.disconnected()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for task in self._tasks:
            task.cancel()
        self._tasks = []


class MqttWriter:
    """One action's topic and payload."""

    def __init__(self, sink: MqttSink, action: Republish) -> None:
        self._sink = sink
        self._action = action
        self._topic = text_template(action.topic)
        self._payload = text_template(action.payload)

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Publish each output in order. Where one is refused the others are published again: at least once."""
        outbox = await self._sink.outbox()
        results = await asyncio.gather(*(self._publish(outbox, output) for output in outputs), return_exceptions=True)
        refused: dict[int, str] = {}
        for place, result in enumerate(results):
            if isinstance(result, ConnectionError):
                raise Unavailable("tcp", str(result), "it is tried again", str(result))
            if isinstance(result, ValueError):
                refused[place] = str(result)
            elif isinstance(result, BaseException):
                raise result
        if refused:
            raise Rejected("messages that cannot be published", refused)

    async def _publish(self, outbox: Outbox, output: dict[str, Any]) -> None:
        topic = self._topic.render(output)
        if not topic or any(character in topic for character in "+#\0"):
            raise ValueError(f"{topic!r} is no topic that can be published to")
        payload = self._payload.render(output).encode()
        await outbox.publish(topic, payload, self._action.qos, self._action.retain)
