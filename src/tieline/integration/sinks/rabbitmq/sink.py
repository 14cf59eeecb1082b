"""RabbitMQ: each output of a rule is a message, which the broker has confirmed before the row counts.

A message that no queue takes comes back: it would vanish otherwise, and the broker would confirm it all the same.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal
from urllib.parse import quote

import msgspec

from tieline.integration.rules.compile.template import Path, Text, text_template
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base import tls
from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.base.kind import Action, Kind, Resource, Secret, driver, label
from tieline.integration.sinks.base.network import address
from tieline.integration.sinks.base.outcome import judge, results
from tieline.integration.sinks.base.pool import Pool
from tieline.integration.sinks.base.reach import open_connection
from tieline.integration.sinks.rabbitmq.errors import translated

if TYPE_CHECKING:
    import aiormq
    import pamqp.commands
else:
    aiormq = driver("aiormq")
    pamqp = driver("pamqp")

CLOSE_SECONDS: Final = 1.0
STEP: Final = 0.25  # seconds between two looks at whether the broker has blocked the connection
KEY_BYTES: Final = 255  # AMQP 0-9-1, short string
MODES: Final = {"non_persistent": 1, "persistent": 2}


class RabbitMQ(Resource, frozen=True, kw_only=True, tag="rabbitmq"):
    """A RabbitMQ broker, or another that speaks AMQP 0-9-1."""

    PORT: ClassVar[int] = 5672

    server: str  # with TLS it usually listens on 5671
    username: str
    password: Secret = ""
    virtual_host: str = "/"
    pool_size: Annotated[int, label("Connection pool size")] = 8
    heartbeat: Annotated[int, label("Heartbeat (seconds)")] = 30


class RabbitMessage(Action, frozen=True, kw_only=True, tag="rabbitmq"):
    """Publishes each output of the rule to an exchange; without one, to the queue that is named by the routing key. A
    message that no queue takes is never lost: it is tried again, or buried where rows name its way. Messages outlive a
    restart of the broker, which EMQX's do only where that is asked for.
    """

    exchange: str = ""
    routing_key: Annotated[str, label("Routing key template")]
    payload_template: Annotated[str, label("Payload template", kind="lines")] = "${.}"
    headers: Annotated[dict[str, str], label("Headers, with templates")] = msgspec.field(default_factory=dict)
    delivery_mode: Literal["persistent", "non_persistent"] = "persistent"  # the other is lost when the broker restarts

    def paths(self) -> tuple[Path, ...]:
        texts = (self.exchange, self.routing_key, self.payload_template, *self.headers.values())
        return tuple(path for text in texts for path in text_template(text).paths)


class Transport:
    """What the library opens connections by."""

    def __init__(self, context: Any) -> None:
        self._context = context

    async def create(self, url: Any, **_: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await open_connection(url.host, url.port, self._context)
        except OSError as error:
            raise aiormq.exceptions.AMQPConnectionError(*error.args) from error


@dataclass(eq=False)
class Link:
    """A connection and its channel, on which the broker confirms what is published."""

    connection: Any
    channel: Any
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def blocked(self) -> bool:
        """Whether the broker has said that it reads nothing from this connection now."""
        ready = self.connection.ready()
        try:
            ready.send(None)  # ends at once where it is not blocked
        except StopIteration:
            return False
        ready.close()
        return True

    @property
    def open(self) -> bool:
        """Whether it can be used again."""
        return not self.connection.is_closed and not self.channel.is_closed


class RabbitSink:
    """A broker and at most `pool_size` connections to it."""

    def __init__(self, resource: RabbitMQ) -> None:
        self.resource = resource
        self._pool: Pool[Link] = Pool(resource.pool_size, self._connect, lambda link: link.open, self._discard)
        self.link = self._pool.connection
        self._closing: set[asyncio.Task[None]] = set()

    def writer(self, action: Action) -> RabbitWriter:
        if not isinstance(action, RabbitMessage):
            raise TemplateError(f"{type(action).__name__} cannot write to RabbitMQ")
        return RabbitWriter(self, action)

    async def check(self, actions: Sequence[Action]) -> None:
        writers = [self.writer(action) for action in actions]
        async with self.link():
            pass
        for writer in writers:
            await writer.check()

    async def close(self) -> None:
        self._pool.close()
        if self._closing:
            await asyncio.wait(self._closing)

    def _discard(self, link: Link) -> None:
        task = asyncio.create_task(_end(link.connection))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _connect(self) -> Link:
        resource = self.resource
        try:
            context = tls.context(resource.ssl)
            async with asyncio.timeout(resource.connect_timeout):
                connection = await aiormq.connect(self._url(), context=context, transport_factory=Transport(context))
                channel = await connection.channel(publisher_confirms=True)
        except Exception as error:
            raise translated(error, resource.server, connecting=True) from error
        link = Link(connection, channel)
        connection.closing.add_done_callback(lambda _: link.lost.set())
        return link

    def _url(self) -> str:
        resource = self.resource
        host, port = address(resource.server, resource.PORT)
        user, password = quote(resource.username, safe=""), quote(resource.password, safe="")
        place = f"{f'[{host}]' if ':' in host else host}:{port}/{quote(resource.virtual_host, safe='')}"
        scheme = "amqps" if resource.ssl.enable else "amqp"
        return f"{scheme}://{user}:{password}@{place}?heartbeat={resource.heartbeat}"


async def _end(connection: Any) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()


class RabbitWriter:
    """One action's exchange and routing key."""

    def __init__(self, sink: RabbitSink, action: RabbitMessage) -> None:
        self._sink = sink
        self._action = action
        self._exchange = text_template(action.exchange)
        self._key = text_template(action.routing_key)
        self._payload = text_template(action.payload_template)
        self._headers = {name: text_template(text) for name, text in action.headers.items()}
        self._constant = not self._exchange.paths and not self._key.paths

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Publish each output in order, and wait for the broker's confirmations."""
        async with self._sink.link() as link:
            if link.blocked:  # nothing is sent, so that nothing comes twice
                raise alarmed()
            tasks = [asyncio.create_task(self._publish(link.channel, output)) for output in outputs]
            await self._answered(link, tasks)
            found = await results(tasks, link.lost, 0)
            judge(found, self._verdict, (aiormq.exceptions.ChannelPreconditionFailed,))

    async def _answered(self, link: Link, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Return when every answer has come, the connection is lost, or `write_timeout` is over. While the broker has
        blocked the connection it reads nothing, and forgets nothing that was sent: that time does not count.
        """
        everything, lost = asyncio.ensure_future(asyncio.wait(tasks)), asyncio.ensure_future(link.lost.wait())
        waited = 0.0
        try:
            while waited < self._sink.resource.write_timeout:
                await asyncio.wait((everything, lost), timeout=STEP, return_when=asyncio.FIRST_COMPLETED)
                if everything.done() or lost.done():
                    return
                waited = 0.0 if link.blocked else waited + STEP
        finally:
            everything.cancel()
            lost.cancel()

    async def _publish(self, channel: Any, output: dict[str, Any]) -> None:
        try:
            key, exchange, body = self._key.render(output), self._exchange.render(output), self._payload.data(output)
            headers = {name: _header(text, output) for name, text in self._headers.items()}
        except ValueError as error:
            raise Rejected(str(error)) from error
        if len(key.encode()) > KEY_BYTES:
            raise Rejected(f"a routing key of more than {KEY_BYTES} bytes")
        properties = pamqp.commands.Basic.Properties(
            delivery_mode=MODES[self._action.delivery_mode], headers=headers or None
        )
        await channel.basic_publish(
            body,
            exchange=exchange,
            routing_key=key,
            properties=properties,
            mandatory=True,
            wait=False,
        )

    def _verdict(self, error: BaseException) -> Unavailable | Rejected:
        return translated(error, self._sink.resource.server, named_by_rows=not self._constant)

    async def check(self) -> None:
        """See that the exchange is there, or the queue where there is none, and that the user may publish there."""
        async with self._sink.link() as link:
            if link.blocked:
                raise alarmed()
            try:
                await self._dry_run(link)
                if self._action.exchange and not self._exchange.paths:
                    await link.channel.exchange_declare(self._action.exchange, passive=True)
                elif not self._action.exchange and self._constant:
                    await link.channel.queue_declare(self._action.routing_key, passive=True)
            except Exception as error:
                raise translated(error, self._sink.resource.server) from error

    async def _dry_run(self, link: Link) -> None:
        """Publish what RabbitMQ refuses for its expiration, which it looks at last: after the exchange, the right to
        write to it, and whether the connection is to be blocked (rabbit_channel.erl, basic.publish). Nothing is queued.
        """
        if link.connection.server_properties.get("product") != "RabbitMQ":
            return
        fixed = not self._exchange.paths
        exchange, key = (self._action.exchange, self._action.routing_key) if fixed else ("", "tieline")
        properties = pamqp.commands.Basic.Properties(expiration="none")
        channel = await link.connection.channel(publisher_confirms=True)
        try:
            async with asyncio.timeout(self._sink.resource.connect_timeout):
                await channel.basic_publish(b"", exchange=exchange, routing_key=key, properties=properties)
        except aiormq.exceptions.ChannelPreconditionFailed:
            pass
        except aiormq.exceptions.ChannelAccessRefused as error:
            if fixed and not (self._key.paths and "access to topic" in str(error)):  # of a key that rows name
                raise
        with contextlib.suppress(TimeoutError):  # who is blocked gets no answer
            async with asyncio.timeout(self._sink.resource.connect_timeout):
                await (await link.connection.channel()).close()
        if link.blocked:
            raise alarmed()


def alarmed() -> Unavailable:
    """What it means that the broker has blocked a connection (RabbitMQ, memory and disk alarms)."""
    hint = "free memory or disk there, or let consumers empty its queues; writing goes on by itself"
    return Unavailable("database", "the broker has an alarm of memory or disk, and takes nothing", hint, "blocked")


def _header(text: Text, output: dict[str, Any]) -> Any:
    """A header's value: a text, or a byte array where its bytes are none (AMQP 0-9-1 in RabbitMQ, field type x)."""
    data = text.data(output)
    try:
        return data.decode()
    except UnicodeDecodeError:
        return bytearray(data)


KIND: Final = Kind(
    label="RabbitMQ",
    resource=RabbitMQ,
    actions=(RabbitMessage,),
    open=RabbitSink,
    test="logs in, opens the virtual host, looks up the exchange or the queue of each action, and whether RabbitMQ "
    "takes messages from this user there now: one that it refuses for its form is all that is sent",
    tried="RabbitMQ 3.10",
)
