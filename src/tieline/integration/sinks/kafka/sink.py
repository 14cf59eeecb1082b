"""Apache Kafka: each output of a rule is a record of a topic, which the broker has acknowledged before the row counts.

The client tries a record again by itself until `write_timeout`, so that a write that fails has nothing on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import msgspec

from tieline.integration.rules.compile.template import Path, Text, lookup, text_template
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base import tls
from tieline.integration.sinks.base.failures import Hop, Rejected, Unavailable
from tieline.integration.sinks.base.kind import Action, Kind, Resource, Secret, driver, label
from tieline.integration.sinks.base.network import addresses, agreed, announced, described
from tieline.integration.sinks.base.outcome import Pending, judge, results
from tieline.integration.sinks.base.reach import Forbidden
from tieline.integration.sinks.kafka.errors import translated
from tieline.integration.sinks.kafka.way import guard, lead

if TYPE_CHECKING:
    import aiokafka
    import aiokafka.client
    import aiokafka.errors
else:
    aiokafka = driver("aiokafka")

CLIENT_ID: Final = "tieline"
MECHANISMS: Final = {"plain": "PLAIN", "scram_sha_256": "SCRAM-SHA-256", "scram_sha_512": "SCRAM-SHA-512"}
ACKS: Final[dict[str, Any]] = {"all_isr": "all", "leader_only": 1, "none": 0}
REQUEST_BYTES: Final = 1 << 20  # what a broker takes unless told otherwise (message.max.bytes)
BATCH_BYTES: Final = 896 << 10  # of records for one partition in one request, as EMQX has it
GRACE: Final = 5.0  # seconds in which the client tells what it gave up
KEY, TIMESTAMP = "${clientid}", "${timestamp}"  # left out where the rule does not give them


class Kafka(Resource, frozen=True, kw_only=True, tag="kafka"):
    """A Kafka cluster. Its brokers must advertise addresses that can be reached from here, links included."""

    ADDRESS: ClassVar[str] = "bootstrap_hosts"
    FORM: ClassVar[Literal["server", "servers", "url"]] = "servers"
    PORT: ClassVar[int] = 9092

    bootstrap_hosts: str
    mechanism: Annotated[
        Literal["none", "plain", "scram_sha_256", "scram_sha_512"], label("Authentication mechanism", steers=True)
    ] = "none"
    username: str = ""
    password: Secret = ""
    required_acks: Literal["all_isr", "leader_only", "none"] = "all_isr"  # of none, what is lost on the way is lost
    compression: Literal["no_compression", "gzip"] = "no_compression"
    allow_auto_topic_creation: bool = False
    #: Where a broker is reached that advertises an address which leads nowhere from here, as behind a private link.
    address_map: Annotated[
        dict[str, str], label("Addresses that brokers advertise, and where they are reached", steers=True)
    ] = msgspec.field(default_factory=dict)


class KafkaRecord(Action, frozen=True, kw_only=True, tag="kafka"):
    """Sends each output of the rule to a topic. Records of the same key are in order with `key_dispatch`; when a broker
    fails, some may come twice.
    """

    topic: Annotated[str, label("Topic template")]
    key: Annotated[str, label("Key template")] = KEY
    value: Annotated[str, label("Value template", kind="lines")] = "${.}"
    timestamp: Annotated[str, label("Timestamp template (milliseconds)")] = TIMESTAMP
    kafka_headers: Annotated[dict[str, str], label("Headers, with templates")] = msgspec.field(default_factory=dict)
    partition_strategy: Literal["random", "key_dispatch"] = "random"

    def paths(self) -> tuple[Path, ...]:
        texts = [self.topic, self.value, *self.kafka_headers.values()]
        texts += [given for given, usual in ((self.key, KEY), (self.timestamp, TIMESTAMP)) if given != usual]
        return tuple(path for text in texts for path in text_template(text).paths)


class KafkaSink:
    """A producer, which keeps a connection to each broker that it needs."""

    def __init__(self, resource: Kafka) -> None:
        self.resource = resource
        self._producer: Any = None
        self._topics: set[str] = set()
        self._connecting = asyncio.Lock()

    def writer(self, action: Action) -> KafkaWriter:
        if not isinstance(action, KafkaRecord):
            raise TemplateError(f"{type(action).__name__} cannot write to Kafka")
        return KafkaWriter(self, action)

    async def check(self, actions: Sequence[Action]) -> None:
        writers = [self.writer(action) for action in actions]
        producer = await self.producer()
        self._topics = set()  # as of now, not as of the last write
        for broker in producer.client.cluster.brokers():
            self.judge(broker)
            if not await producer.client.ready(broker.nodeId):
                hint = "let the brokers advertise addresses that lead to them from here (advertised.listeners)"
                where = f"{broker.host}:{broker.port}"
                raise Unavailable("address", f"a broker advertises {where}, which leads nowhere", hint, f"to {where}")
        for writer in writers:
            await writer.check()

    async def close(self) -> None:
        if self._producer is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(GRACE):
                    await self._producer.stop()
            self._producer = None

    async def producer(self) -> Any:
        """The producer, connected; raises Unavailable."""
        async with self._connecting:
            if self._producer is None:
                guard()
                made = aiokafka.AIOKafkaProducer(
                    bootstrap_servers=[f"{host}:{port}" for host, port in self._hosts()],
                    acks=ACKS[self.resource.required_acks],
                    compression_type=None if self.resource.compression == "no_compression" else "gzip",
                    max_batch_size=BATCH_BYTES,
                    max_request_size=REQUEST_BYTES,
                    **self._settings(),
                )
                lead(made.client.cluster, self.resource)
                try:
                    await made.start()
                except Exception as error:
                    with contextlib.suppress(Exception):
                        await made.stop()
                    raise await self._reason(error) from error
                self._producer = made
            return self._producer

    def judge(self, broker: Any) -> None:
        """Raises Unavailable for a broker at an address that this resource does not name."""
        try:
            agreed(self.resource, announced(self.resource, (broker.host, broker.port)))
        except Forbidden as error:
            raise translated(error, self.resource.bootstrap_hosts) from error

    def _hosts(self) -> list[tuple[str, int]]:
        return addresses(self.resource.bootstrap_hosts, self.resource.PORT)

    def _settings(self) -> dict[str, Any]:
        resource = self.resource
        login = resource.mechanism != "none"
        known: dict[str, Any] = {
            "client_id": CLIENT_ID,
            "request_timeout_ms": int(resource.write_timeout * 1000),
            "ssl_context": tls.context(resource.ssl),
            "security_protocol": ("SASL_" if login else "") + ("SSL" if resource.ssl.enable else "PLAINTEXT"),
        }
        if login:
            known["sasl_mechanism"] = MECHANISMS[resource.mechanism]
            known["sasl_plain_username"] = resource.username
            known["sasl_plain_password"] = resource.password
        return known

    async def _reason(self, error: Exception) -> Unavailable | Rejected:
        """Why no broker lets us in: the producer only writes it to its log, so each is asked once more."""
        for host, port in self._hosts():
            try:
                async with asyncio.timeout(self.resource.connect_timeout):
                    (await aiokafka.client.create_conn(host, port, **self._settings())).close()
            except TimeoutError as reason:
                hop: Hop = "tls" if self.resource.ssl.enable else "login"
                hint = "check that a Kafka broker listens there, and whether it wants TLS"
                return Unavailable(hop, f"{host}:{port} takes connections, and says nothing", hint, described(reason))
            except Exception as reason:
                return translated(reason, f"{host}:{port}", connecting=True)
        return translated(error, self.resource.bootstrap_hosts, connecting=True)

    def heard(self, topic: str, answer: asyncio.Future[Any]) -> None:
        """Ask again for a topic that is not where it was."""
        if not answer.cancelled() and isinstance(answer.exception(), aiokafka.errors.UnknownTopicOrPartitionError):
            self._topics.discard(topic)

    async def has(self, topic: str) -> bool:
        """Whether there is such a topic; to ask for it by name might create it."""
        if topic not in self._topics and not self.resource.allow_auto_topic_creation:
            producer = await self.producer()
            self._topics = set((await producer.client.fetch_all_metadata()).topics())
        return topic in self._topics or self.resource.allow_auto_topic_creation


class KafkaWriter:
    """One action's topic."""

    def __init__(self, sink: KafkaSink, action: KafkaRecord) -> None:
        self._sink = sink
        self._action = action
        self._topic, self._value = text_template(action.topic), text_template(action.value)
        self._key, self._timestamp = text_template(action.key), text_template(action.timestamp)
        self._headers = {name: text_template(text) for name, text in action.kafka_headers.items()}

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Send each output in order, and wait for the brokers' acknowledgements."""
        producer = await self._sink.producer()
        for broker in producer.client.cluster.brokers():
            self._sink.judge(broker)
        pending: list[Pending] = []
        for output in outputs:
            broken = pending[-1] if pending and self._stops(pending[-1]) else None
            pending.append(broken or await self._send(producer, output))
        never, seconds = asyncio.Event(), self._sink.resource.write_timeout + GRACE
        found = await results(pending, never, seconds)
        errors = aiokafka.errors
        judge(found, self._verdict, (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError))

    def _stops(self, last: Pending) -> bool:
        """Whether the way is broken, so that further rows would only wait for the same end."""
        return isinstance(last, Exception) and isinstance(self._verdict(last), Unavailable)

    async def _send(self, producer: Any, output: dict[str, Any]) -> Pending:
        try:
            topic, value = self._topic.render(output), self._value.data(output)
            key, stamp = _known(self._key, output), self._stamp(output)
            headers = [(name, text.data(output)) for name, text in self._headers.items()]
        except ValueError as error:
            return Rejected(str(error))
        try:
            if not await self._sink.has(topic):
                return self._missing(topic)
            any_partition = key is None or self._action.partition_strategy == "key_dispatch"
            answer: asyncio.Future[Any] = await producer.send(
                topic,
                value,
                key=key,
                partition=None if any_partition else random.choice(tuple(await producer.partitions_for(topic))),
                timestamp_ms=stamp,
                headers=headers,
            )
        except aiokafka.errors.MessageSizeTooLargeError as error:  # before it was sent: this very row
            return Rejected(str(error))
        except Exception as error:
            return error
        answer.add_done_callback(lambda done: self._sink.heard(topic, done))
        return answer

    def _stamp(self, output: dict[str, Any]) -> int | None:
        stamp = _known(self._timestamp, output)
        if stamp is not None and not (stamp.isdigit() and len(stamp) < 19):
            raise ValueError(f"{stamp[:30]!r} is no time in milliseconds")
        return int(stamp) if stamp is not None else None

    def _missing(self, topic: str) -> Unavailable | Rejected:
        if self._topic.paths:
            return Rejected(f"there is no topic {topic!r}")
        hint = "create the topic, correct its name, or allow that it is created"
        return Unavailable(
            "statement", f"there is no topic {topic!r}", hint, "it is not in the cluster's metadata", came="answer"
        )

    def _verdict(self, error: BaseException) -> Unavailable | Rejected:
        return translated(error, self._sink.resource.bootstrap_hosts)

    async def check(self) -> None:
        """See that the topic is there; where rows name it, that the cluster tells its topics."""
        try:
            there = await self._sink.has(self._action.topic)
        except Exception as error:
            raise self._verdict(error) from error
        if not self._topic.paths and not there:
            raise self._missing(self._action.topic)


def _known(template: Text, output: dict[str, Any]) -> bytes | None:
    """The bytes for an output; None where it is nothing but a field that the output does not have."""
    alone = template.alone
    return None if alone is not None and lookup(output, alone) is None else template.data(output)


KIND: Final = Kind(
    label="Apache Kafka",
    resource=Kafka,
    actions=(KafkaRecord,),
    open=KafkaSink,
    test="logs in, reaches every broker at the address that it advertises, and finds each action's topic",
    tried="Tansu 0.6, a server that speaks Kafka's protocol: of log-ins only refusals, and TLS through a front",
)
