"""NATS: each output of a rule is a message to a subject, which a JetStream stream has stored before the row counts.

Without JetStream a message reaches whoever listens at that moment, and nobody else: the server's word is all there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import msgspec

from tieline.integration.rules.compile.template import Path, text_template
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.base.kind import Action, Kind, Resource, Secret, driver, label
from tieline.integration.sinks.base.network import addresses
from tieline.integration.sinks.base.outcome import Pending, judge, results
from tieline.integration.sinks.nats.connection import Connection
from tieline.integration.sinks.nats.errors import translated

if TYPE_CHECKING:
    import nats.js.api
    import nats.js.errors
else:
    nats = driver("nats")


class Nats(Resource, frozen=True, kw_only=True, tag="nats"):
    """A NATS server, or several of one cluster with commas between them."""

    ADDRESS: ClassVar[str] = "servers"
    FORM: ClassVar[Literal["server", "servers", "url"]] = "servers"
    PORT: ClassVar[int] = 4222

    servers: str
    username: str = ""
    password: Secret = ""
    token: Annotated[Secret, label("Token")] = ""


class NatsMessage(Action, frozen=True, kw_only=True, tag="nats"):
    """Publishes each output of the rule to a subject. With a message id the stream drops what it has already."""

    subject: Annotated[str, label("Subject template")]
    payload_template: Annotated[str, label("Payload template", kind="lines")] = "${.}"
    headers: Annotated[dict[str, str], label("Headers, with templates")] = msgspec.field(default_factory=dict)
    jetstream: Annotated[bool, label("Wait until a stream has stored it (JetStream)")] = True
    message_id: Annotated[str, label("Message id template (JetStream drops doubles)")] = ""

    def paths(self) -> tuple[Path, ...]:
        texts = (self.subject, self.payload_template, self.message_id, *self.headers.values())
        return tuple(path for text in texts for path in text_template(text).paths)


class NatsSink:
    """One connection, on which any number of messages are on their way."""

    def __init__(self, resource: Nats) -> None:
        self.resource = resource
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    def writer(self, action: Action) -> NatsWriter:
        if not isinstance(action, NatsMessage):
            raise TemplateError(f"{type(action).__name__} cannot write to NATS")
        return NatsWriter(self, action)

    async def check(self, actions: Sequence[Action]) -> None:
        writers = [self.writer(action) for action in actions]
        connection = await self.connection()
        for writer in writers:
            await writer.check(connection)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def connection(self) -> Connection:
        """A connection that is open; raises Unavailable."""
        resource = self.resource
        async with self._connecting:
            if self._connection is None or self._connection.lost.is_set():
                await self.close()
                made = Connection(resource.ssl.enable)
                login = {"user": resource.username, "password": resource.password, "token": resource.token}
                hosts = addresses(resource.servers, resource.PORT)
                await made.open(hosts, login, resource.ssl, resource.connect_timeout)
                self._connection = made
            return self._connection


class NatsWriter:
    """One action's subject."""

    def __init__(self, sink: NatsSink, action: NatsMessage) -> None:
        self._sink = sink
        self._action = action
        self._subject = text_template(action.subject)
        self._payload = text_template(action.payload_template)
        headers = action.headers | ({"Nats-Msg-Id": action.message_id} if action.message_id else {})
        self._headers = {name: text_template(text) for name, text in headers.items()}

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Publish each output in order, and wait for the stream's word for each."""
        connection = await self._sink.connection()
        connection.said, seconds = "", self._sink.resource.write_timeout
        pending = [await self._publish(connection, output) for output in outputs]
        found = await results(pending, connection.lost, seconds)
        if not self._action.jetstream:
            silence = await self._flushed(connection, seconds)
            found = [error or silence for error in found]
        judge(found, lambda error: self._verdict(error, connection.said))

    async def _publish(self, connection: Connection, output: dict[str, Any]) -> Pending:
        try:
            headers = {name: text.render(output) for name, text in self._headers.items()} or None
            subject, payload = self._subject.render(output), self._payload.data(output)
        except ValueError as error:
            return Rejected(str(error))
        try:
            if self._action.jetstream:
                return await connection.ask(subject, payload, headers)
            await connection.client.publish(subject, payload, headers=headers)
        except Exception as error:
            return error
        return None

    async def _flushed(self, connection: Connection, seconds: float) -> Exception | None:
        """None when the server has taken everything that was published; it says only what it does not like."""
        try:
            await connection.client.flush(timeout=seconds)
        except Exception as error:
            return error
        return ConnectionError(connection.said) if connection.said else None

    def _verdict(self, error: BaseException, said: str = "") -> Unavailable | Rejected:
        if isinstance(error, TimeoutError | ConnectionError) and said:
            error = ConnectionError(said)  # no answer comes where the server only complains
        return translated(error, self._sink.resource.servers, self._action.subject, bool(self._subject.paths))

    async def check(self, connection: Connection) -> None:
        """See that a stream takes the subject; where rows name it, that there are streams at all."""
        if not self._action.jetstream:
            return
        stream = connection.client.jetstream(timeout=self._sink.resource.write_timeout)
        try:
            if self._subject.paths:
                await stream.account_info()
            else:
                name = await stream.find_stream_name_by_subject(self._action.subject)
                self._judge(await stream.stream_info(name))
        except nats.js.errors.NotFoundError as error:
            raise self._verdict(nats.js.errors.NoStreamResponseError()) from error
        except Exception as error:
            raise self._verdict(error) from error

    def _judge(self, found: Any) -> None:
        """Raises Unavailable for a stream that takes nothing now: it is full and drops nothing, or it is sealed."""
        config, state = found.config, found.state
        full = any(
            limit is not None and 0 < limit <= now
            for limit, now in ((config.max_msgs, state.messages), (config.max_bytes, state.bytes))
        )
        if config.sealed or (full and config.discard == nats.js.api.DiscardPolicy.NEW):
            said = "it is sealed" if config.sealed else "it is full, and its discard policy is new"
            hint = "raise the stream's limits, purge it, or let consumers empty it; writing goes on by itself"
            raise Unavailable("statement", f"the stream {config.name} takes no more: {said}", hint, said)


KIND: Final = Kind(
    label="NATS",
    resource=Nats,
    actions=(NatsMessage,),
    open=NatsSink,
    test="logs in, and finds the stream that takes each action's subject, and whether it takes more",
    tried="NATS 2.9",
)
