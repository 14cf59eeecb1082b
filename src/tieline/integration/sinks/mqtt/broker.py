"""The broker that messages come from, also as a place to write to: each output of a rule is published again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final

import msgspec

from tieline.integration.rules.compile.template import Path, text_template
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.base.kind import Action, Value, label
from tieline.integration.sinks.base.network import described
from tieline.integration.sinks.base.outcome import judge
from tieline.integration.sinks.mqtt.connection import MqttConnection, Peer
from tieline.integration.sinks.mqtt.message import flag, level, publication, templates
from tieline.integration.sinks.mqtt.outbox import Outbox, Refused

SUSPICIOUS: Final = 3  # connections in a row that ended with the same message


class Broker(Value, frozen=True, kw_only=True):
    """The MQTT 5 broker that messages come from, and how to be known to it."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = None
    origin: bool = True  # the broker's plugin appends the message's id and who published it to each message
    foreign: bool = False  # whether it is somebody else's: where its name leads is then judged (see reach)
    events: bool = True  # what happens to clients is published
    share: str = ""  # the group of clients that share the messages; none: all of them come here
    ordered: bool = True  # where messages are shared, whether this client takes those whose order is kept
    alone: bool = False  # whether it is the only one that does, and need not share them
    drain: bool = False  # whether to subscribe to nothing, and take only what the broker has kept
    keep_alive: int = 30  # seconds
    receive_maximum: int = 65535  # messages that may wait for their commit, per resource
    receive_bytes: int = 64 << 20  # of payload that may wait, per resource; beyond it nothing is read


class Publishing(Action, frozen=True, kw_only=True):
    """Base of the actions that publish messages."""

    CARRIES: ClassVar[bool] = True

    topic: Annotated[str, label("Topic template")]
    payload: Annotated[str, label("Payload template", kind="lines")] = "${.}"
    qos: Annotated[int | str, label("QoS, or a template for it")] = 1
    retain: Annotated[bool | str, label("Retain, or a template for it")] = False
    #: A map or an array of {key, value}, such as ${pub_props.User-Property}; those of the message where it is empty.
    user_properties: Annotated[str, label("User properties template; else they are kept", kind="lines")] = ""
    mqtt_properties: Annotated[dict[str, str], label("MQTT 5 properties, with templates; else they are kept")] = (
        msgspec.field(default_factory=dict)
    )

    def paths(self) -> tuple[Path, ...]:
        said = templates(self.qos, self.retain, self.user_properties, self.mqtt_properties)
        return (*text_template(self.topic).paths, *text_template(self.payload).paths, *said.paths)


class Republish(Publishing, frozen=True, kw_only=True, tag="republish"):
    """Publishes each output of the rule on the broker that the messages came from. A message that comes back to a rule
    that has published it is a dead letter.
    """

    resource: str = ""  # none: the broker itself
    batch_time: float = 0.0


class MqttSink:
    """Publishes to the broker as `client_id`."""

    def __init__(self, broker: Broker, client_id: str) -> None:
        peer = Peer(
            server=f"{f'[{broker.host}]' if ':' in broker.host else broker.host}:{broker.port}",
            client_id=client_id,
            username=broker.username,
            password=broker.password,
            keep_alive=broker.keep_alive,
            own=not broker.foreign,
        )
        self._connection = MqttConnection(peer)

    def writer(self, action: Action) -> MqttWriter:
        if not isinstance(action, Republish):
            raise TemplateError(f"{type(action).__name__} cannot write to a broker")
        return MqttWriter(self._connection, action)

    async def check(self, actions: Sequence[Action]) -> None:
        writers = [self.writer(action) for action in actions]
        await self._connection.alive()
        for writer in writers:
            await writer.check()

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

    def __init__(self, connection: MqttConnection, action: Publishing) -> None:
        self._connection = connection
        self._rule = action.id.rpartition(":")[0] or action.id
        self._topic = text_template(action.topic)
        self._payload = text_template(action.payload)
        self._said = templates(action.qos, action.retain, action.user_properties, action.mqtt_properties)
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
        made = publication(self._rule, self._topic, self._payload, self._said, output)
        await outbox.publish(made.topic, made.payload, made.qos, made.retain, **made.properties)

    async def check(self) -> None:
        """See that the broker takes the QoS and the retain flag, where they are the same for all rows."""
        outbox = await self._connection.outbox()
        said = self._said
        try:
            outbox.check(
                0 if said.qos.paths else level(said.qos.render({})),
                not said.retain.paths and flag(said.retain.render({})),
            )
        except ValueError as error:
            hint = "choose another QoS or retain flag, or another broker"
            raise Unavailable("statement", str(error), hint, "it said so when it was connected to") from error

    def _verdict(self, error: BaseException) -> Unavailable | Rejected:
        """A topic that the broker refuses is a row's fault where rows name it."""
        if isinstance(error, Unavailable | Rejected):
            return error
        if isinstance(error, Refused) and error.quota:
            return Unavailable("database", str(error), "it is tried again", described(error))
        if isinstance(error, Refused) and error.denied and not self._topic.paths:
            return Unavailable(
                "statement", str(error), "allow the user to publish to the topic", described(error), came="answer"
            )
        if isinstance(error, ValueError):
            return Rejected(str(error))
        hint = "it is tried again; the broker's log may say why it ends connections"
        return Unavailable("tcp", str(error), hint, described(error), came="silence")
