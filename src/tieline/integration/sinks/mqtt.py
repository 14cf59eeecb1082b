"""The broker that messages come from, also as a place to write to: each output of a rule is published again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

from tieline.integration.rules.errors import TemplateError
from tieline.integration.rules.template import Path, text_template
from tieline.integration.sinks.failures import Rejected, Unavailable
from tieline.integration.sinks.kind import Action, Value, label
from tieline.integration.sinks.mqtt_connection import MqttConnection, Peer
from tieline.integration.sinks.mqtt_outbox import Outbox, Refused
from tieline.integration.sinks.network import described
from tieline.integration.sinks.outcome import judge

SUSPICIOUS: Final = 3  # connections in a row that ended with the same message


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
    alone: bool = False  # whether it is the only one that does, and need not share them
    drain: bool = False  # whether to subscribe to nothing, and take only what the broker has kept
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
    """Publishes to the broker as `client_id`."""

    def __init__(self, broker: Broker, client_id: str) -> None:
        peer = Peer(
            server=f"{f'[{broker.host}]' if ':' in broker.host else broker.host}:{broker.port}",
            client_id=client_id,
            username=broker.username,
            password=broker.password,
            keep_alive=broker.keep_alive,
            own=True,
        )
        self._connection = MqttConnection(peer)

    def writer(self, action: Action) -> MqttWriter:
        if not isinstance(action, Republish):
            raise TemplateError(f"{type(action).__name__} cannot write to a broker")
        return MqttWriter(self._connection, action.topic, action.payload, action.qos, action.retain)

    async def check(self, actions: Sequence[Action]) -> None:
        for action in actions:
            self.writer(action)
        await self._connection.alive()

    async def outbox(self) -> Outbox:
        """Where to publish, connected; raises Unavailable."""
        return await self._connection.outbox()

    async def close(self) -> None:
        await self._connection.close()


class MqttWriter:
    """One action's topic and payload.

    Some brokers end the connection instead of refusing a message (Mosquitto 2.0.11, an access list). So after a lost
    connection messages go one by one, and one that ends it time and again is refused, where rows name the topic.
    """

    def __init__(self, connection: MqttConnection, topic: str, payload: str, qos: int, retain: bool) -> None:
        self._connection = connection
        self._topic = text_template(topic)
        self._payload = text_template(payload)
        self._qos = qos
        self._retain = retain
        self._careful = False
        self._suspect: tuple[dict[str, Any] | None, int] = (None, 0)  # an output, and how many connections it ended

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Publish each output in order, and wait until the broker has taken the responsibility for it."""
        outbox = await self._connection.outbox()
        send = self._one_by_one if self._careful else self._together
        found = await self._connection.results(send(outbox, outputs))
        self._careful = any(isinstance(error, ConnectionError) for error in found)
        judge(found, self._verdict)

    async def _together(self, outbox: Outbox, outputs: Sequence[dict[str, Any]]) -> list[BaseException | None]:
        tasks = (self._publish(outbox, output) for output in outputs)
        return await asyncio.gather(*tasks, return_exceptions=True)

    async def _one_by_one(self, outbox: Outbox, outputs: Sequence[dict[str, Any]]) -> list[BaseException | None]:
        found: list[BaseException | None] = []
        for output in outputs:
            try:
                await self._publish(outbox, output)
                found.append(None)
            except (Rejected, ValueError) as error:
                found.append(error)
            except OSError as error:
                first = self._suspected(output, error) if isinstance(error, ConnectionError) else error
                found += [first, *[error] * (len(outputs) - len(found) - 1)]
                break
        return found

    def _suspected(self, output: dict[str, Any], error: Exception) -> Exception:
        """The error, or the verdict on a message that ended a connection once too often."""
        last, times = self._suspect
        times = times + 1 if last == output else 1
        self._suspect = (output, times)
        if times < SUSPICIOUS or not self._topic.paths:
            return error
        return Rejected("the broker ends the connection whenever it gets this message")

    async def _publish(self, outbox: Outbox, output: dict[str, Any]) -> None:
        topic = self._topic.render(output)
        if not topic or any(character in topic for character in "+#\0"):
            raise Rejected(f"{topic!r} is no topic that can be published to")
        await outbox.publish(topic, self._payload.data(output), self._qos, self._retain)

    def _verdict(self, error: BaseException) -> Unavailable | Rejected:
        """A topic that the broker refuses is a row's fault where rows name it."""
        if isinstance(error, Unavailable | Rejected):
            return error
        if isinstance(error, Refused) and error.quota:
            return Unavailable("database", str(error), "it is tried again", described(error))
        if isinstance(error, Refused) and error.denied and not self._topic.paths:
            return Unavailable("statement", str(error), "allow the user to publish to the topic", described(error))
        if isinstance(error, ValueError):
            return Rejected(str(error))
        hint = "it is tried again; the broker's log may say why it ends connections"
        return Unavailable("tcp", str(error), hint, described(error))
