"""What the integration is told to do: resources, rules and their actions, as frozen values that are also JSON."""

from __future__ import annotations

from typing import Any, Final

import msgspec


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of every configuration value."""


class Broker(Value, frozen=True, kw_only=True):
    """The MQTT 5 broker that messages come from, and how to be known to it."""

    host: str
    port: int
    client_id: str
    username: str | None = None
    password: str | None = None
    origin: bool = True  # the broker's plugin appends the publisher's client id and user name to each message
    share: str = ""  # the group of clients that share the messages; none: all of them come here
    keep_alive: int = 30  # seconds
    receive_maximum: int = 65535  # messages that may wait for their commit, per resource
    receive_bytes: int = 64 << 20  # of payload that may wait, per resource; beyond it nothing is read


class Ssl(Value, frozen=True, kw_only=True):
    """TLS to a server. Certificates and keys are PEM texts."""

    enable: bool = False
    verify: bool = True
    cacert: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""  # the name to verify and to send, where it is not the address


class PostgreSQL(Value, frozen=True, kw_only=True, tag="postgresql", tag_field="type"):
    """A PostgreSQL database, also TimescaleDB."""

    id: str
    name: str = ""
    server: str  # host or host:port
    database: str
    username: str
    password: str = ""
    ssl: Ssl = Ssl()
    pool_size: int = 8  # connections at most
    connect_timeout: float = 5.0  # seconds for each step of connecting
    write_timeout: float = 30.0  # seconds after which a write counts as failed and is tried again


Resource = PostgreSQL


class Sql(Value, frozen=True, kw_only=True, tag="sql", tag_field="kind"):
    """Writes each output of the rule with one SQL statement."""

    id: str
    resource: str
    sql: str
    undefined_vars_as_null: bool = True  # else a missing value is the text `undefined` in a text column
    batch_size: int = 1000  # rows in one write
    batch_bytes: int = 1 << 20  # of payload in one write
    batch_time: float = 0.01  # seconds that the first row of a batch waits for others


class Republish(Value, frozen=True, kw_only=True, tag="republish", tag_field="kind"):
    """Publishes each output of the rule on the broker that the messages came from."""

    id: str
    topic: str
    payload: str = "${.}"
    qos: int = 1
    retain: bool = False
    resource: str = ""  # none: the broker itself
    batch_size: int = 1000
    batch_bytes: int = 1 << 20
    batch_time: float = 0.0


Action = Sql | Republish


class Rule(Value, frozen=True, kw_only=True):
    """SQL over messages, and what is done with its outputs."""

    id: str
    name: str = ""
    sql: str
    actions: tuple[Action, ...] = ()
    enable: bool = True


class Config(Value, frozen=True, kw_only=True):
    """Everything, at one version."""

    version: int = 0
    resources: tuple[Resource, ...] = ()
    rules: tuple[Rule, ...] = ()


class Field(Value, frozen=True, kw_only=True):
    """One entry of a resource's form; names with a dot are inside a group."""

    name: str
    label: str
    kind: str = "text"  # text, number, boolean, password or pem
    default: Any = None
    required: bool = False
    secret: bool = False


_SSL_FIELDS: Final = (
    Field(name="ssl.enable", label="Enable TLS", kind="boolean", default=False),
    Field(name="ssl.verify", label="Verify the server's certificate", kind="boolean", default=True),
    Field(name="ssl.cacert", label="CA certificate", kind="pem", default=""),
    Field(name="ssl.cert", label="Client certificate", kind="pem", default=""),
    Field(name="ssl.key", label="Client key", kind="pem", default="", secret=True),
    Field(name="ssl.server_name", label="Server name in the certificate", default=""),
)

#: The types of resources that are offered, each with the fields of its form in their order.
RESOURCE_TYPES: Final[dict[str, tuple[Field, ...]]] = {
    "postgresql": (
        Field(name="server", label="Server", required=True),
        Field(name="database", label="Database", required=True),
        Field(name="username", label="Username", required=True),
        Field(name="password", label="Password", kind="password", default="", secret=True),
        *_SSL_FIELDS,
        Field(name="pool_size", label="Connection pool size", kind="number", default=8),
        Field(name="connect_timeout", label="Connect timeout (seconds)", kind="number", default=5.0),
        Field(name="write_timeout", label="Write timeout (seconds)", kind="number", default=30.0),
    ),
}

#: What stands in the SQL template's field until the user writes a statement.
DEFAULT_SQL: Final = (
    "insert into t_mqtt_msg(msgid, topic, qos, payload, arrived) "
    "values (${id}, ${topic}, ${qos}, ${payload}, to_timestamp(${timestamp}::bigint / 1000.0))"
)


def encode(config: Config) -> bytes:
    """The configuration as JSON."""
    return msgspec.json.encode(config)


def decode(text: bytes) -> Config:
    """The configuration of a JSON text; raises msgspec.ValidationError naming the member that does not fit."""
    return msgspec.json.decode(text, type=Config)
