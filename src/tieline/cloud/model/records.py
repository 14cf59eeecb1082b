"""What the platform remembers: one frozen value per record, and for each the part of it that anybody may see."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from tieline.base.hostport import HOST_PATTERN, joined
from tieline.cloud.model.providers import DeploymentAccount, Provider
from tieline.integration.sinks import ACTIONS

NAME_PATTERN = r"^[0-9a-zA-Z][-0-9a-zA-Z_]*$"  # as EMQX names connectors and rules
NAME_RULE = "letters, digits, - and _ are allowed, and a letter or digit comes first"  # the pattern in words
Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=254, examples=["orders"])]
HISTORY_LIMIT = 50  # entries kept per record unless retention says otherwise; the oldest go first
MASK = "******"


class Value(BaseModel):
    """Base of every record: frozen, and strict about what it is made of."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Stored(Value):
    """Base of what the store keeps; `version` is the store's, 0 before the first write, and never part of the body.

    `hidden` fields are masked in the audit log. Changes of `unaudited` fields are the platform's own, and a record
    with `audited` false is no record of people's. One that `always` is has its defaults before it is first written.
    """

    kind: ClassVar[str]
    audited: ClassVar[bool] = True
    always: ClassVar[bool] = False
    hidden: ClassVar[frozenset[str]] = frozenset()
    unaudited: ClassVar[frozenset[str]] = frozenset({"history", "revision", "version"})
    id: str
    version: int = Field(default=0, exclude=True)


class DeploymentStatus(StrEnum):
    CREATING = "creating"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    DELETING = "deleting"


class LinkStatus(StrEnum):
    CREATING = "creating"
    WAITING_ACCEPTANCE = "waiting_acceptance"
    RUNNING = "running"
    FAILED = "failed"
    DELETING = "deleting"


class Reason(StrEnum):
    """Why a record is not (yet) `running`."""

    NOT_ACCEPTED = "not_accepted"
    NOT_ALLOWED = "not_allowed"
    ZONE_MISMATCH = "zone_mismatch"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SERVICE_REMOVED = "service_removed"
    LOAD_BALANCER_REMOVED = "load_balancer_removed"
    ENDPOINT_REMOVED = "endpoint_removed"
    ENDPOINT_FAILED = "endpoint_failed"
    INSTANCE_ENDED = "instance_ended"
    NETWORK_REMOVED = "network_removed"
    QUOTA = "quota"
    CREDENTIALS = "credentials"
    AWS_UNREACHABLE = "aws_unreachable"
    AWS_REFUSED = "aws_refused"


class HistoryEntry(Value):
    """One thing that happened to a record: when (RFC 3339, UTC), who, what."""

    at: str
    who: str
    event: str


Anonymous = bool | tuple[Literal["mqtt", "mqtts", "websocket"], ...] | None
ANONYMOUS = "whether devices connect without a user, or the listeners where they do; null: until there is an MQTT user"
ORIGINS = "origins of web pages that may connect by WebSocket besides those of the broker's own host; * for all"


class Subnet(Value):
    """One subnet of a deployment; `zone` is the AZ id, which means the same zone in every account."""

    id: str = ""
    zone: str
    cidr: str


class Address(Value):
    """A TCP address that somebody connects to."""

    host: str = Field(pattern=HOST_PATTERN, max_length=253, examples=["127.0.0.1"])
    port: int = Field(ge=1, le=65535, examples=[1883])

    def __str__(self) -> str:
        return joined(self.host, self.port)


class RemoteBroker(Value):
    """An MQTT 5 broker that the deployment's owner runs."""

    host: str = Field(pattern=HOST_PATTERN, max_length=253, examples=["emqx.example.com"])
    port: int = Field(ge=1, le=65535, examples=[8883])
    username: str = Field(default="", max_length=1000)
    tls: bool = False
    authority: str = Field(default="", max_length=100_000, description="PEM; the system's own where none is given")
    server_name: str = Field(default="", max_length=253, description="to verify, where it is not the host")
    group: str = Field(
        default="tieline", pattern=r"^[0-9A-Za-z_.-]+$", max_length=100, description="of the shared subscriptions"
    )


class DeploymentView(Value):
    """An MQTT deployment: its network, its machine and where devices reach its broker."""

    id: str
    name: Name
    description: str = ""
    project: Name = "default"
    provider: Provider
    status: DeploymentStatus = DeploymentStatus.CREATING
    reason: Reason | None = None
    hint: str = ""
    aws: DeploymentAccount | None = Field(default=None, description="whose network it is, where provider is aws")
    cidr: str = ""
    vpc: str = ""
    subnets: tuple[Subnet, ...] = ()
    instance: str = ""
    mqtt: Address
    mqtts: Address | None = Field(default=None, description="where devices connect with TLS")
    websocket: Address | None = Field(default=None, description="where browsers connect, MQTT over WebSocket")
    anonymous: Anonymous = Field(default=None, description=ANONYMOUS)
    websocket_origins: tuple[str, ...] | None = Field(default=None, description=ORIGINS)
    wanted: Literal["running", "stopped"] = "running"
    workers: int = Field(default=1, description="processes that share the integration's work on each agent")
    remote: RemoteBroker | None = Field(default=None, description="the broker of its owner's, where it brought one")
    created: str
    history: tuple[HistoryEntry, ...] = ()


class Deployment(DeploymentView, Stored):
    """The deployment as stored. `revision` counts the changes that its agent must hear of."""

    kind: ClassVar[str] = "deployment"
    hidden: ClassVar[frozenset[str]] = frozenset({"token_hash", "tls_key", "authority_key", "remote_password"})
    unaudited: ClassVar[frozenset[str]] = Stored.unaudited | {"status", "reason", "hint", "joined", "halted"}
    token_hash: str
    token_serial: int = 0  # of the join token: each renewal counts
    broker: Address  # what the broker itself listens on
    revision: int = 1
    joined: bool = False  # whether its agent reported a working broker since it was last started
    halted: bool = False  # whether its agent reported that it stopped, since it was asked to

    @property
    def joined_by_hand(self) -> bool:
        """Whether its owner starts its agent, with the join token."""
        return self.provider != "fabric"

    certificate: str = ""  # the chain of the TLS listener, as PEM
    authority: str = ""  # what devices verify it with
    tls_key: str = ""  # ciphertext
    authority_key: str = ""  # ciphertext: signs the next certificate; empty where people brought theirs
    remote_password: str = ""  # ciphertext


class PrivateLinkView(Value):
    """A private link: a service of somebody else's VPC, at an address inside the deployment's own."""

    id: str
    deployment: str
    name: Name
    description: str = ""
    service_name: str
    status: LinkStatus = LinkStatus.CREATING
    reason: Reason | None = None
    hint: str = ""
    cause: str = Field(default="", description="the last low-level answer, as AWS gave it")
    endpoint: str = Field(default="", description="the interface endpoint's id")
    address: str = Field(default="", description="the DNS name that resolves inside the deployment's VPC")
    ports: tuple[int, ...] = Field(default=(), description="the listener ports that the provider told")
    server_name: str = Field(
        default="", description="what TLS to a server behind it verifies, where it is not the address"
    )
    addresses: tuple[str, ...] = Field(default=(), description="host:port, ready to use as a resource's server")
    zones: tuple[str, ...] = Field(default=(), description="AZ ids that the link runs through")
    created: str
    history: tuple[HistoryEntry, ...] = ()


class PrivateLink(PrivateLinkView, Stored):
    """The link as stored; its id is the ClientToken of its first endpoint, so that creating is idempotent."""

    kind: ClassVar[str] = "link"
    unaudited: ClassVar[frozenset[str]] = Stored.unaudited | {"noted"}
    endpoint_state: str = ""  # AWS's word for it when last looked at
    sent: float = 0.0  # when CreateVpcEndpoint was last sent, in seconds since the epoch; 0 never
    noted: str | None = None  # its newest entry in the audit log; "" without one, None where nobody looked: noted.py
    restarted: str = ""  # when it was last reconnected: each attempt since then has one ClientToken


class ResourceView(Value):
    """A database or service that rules write to; further fields are those of its type, secrets shown as ******."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    deployment: str
    name: Name
    type: str
    server: str = Field(description="host:port, or link:<name>:port for what is behind a private link")
    created: str


class Resource(Stored):
    """The resource as stored: its secrets apart, and encrypted."""

    kind: ClassVar[str] = "resource"
    hidden: ClassVar[frozenset[str]] = frozenset({"secrets"})
    deployment: str
    name: Name
    type: str
    server: str
    options: dict[str, Any] = {}  # the other fields of its type, without the secret ones
    secrets: str = ""  # ciphertext of the secret fields, as a JSON object of name to value
    given_for: dict[str, str] = {}  # by link's id: the service that they were given for, where it led elsewhere since
    created: str


class Action(Value):
    """What a rule does with each output; further fields are those of its kind.

    `sql` writes with a statement in `sql`; `republish` publishes on the deployment's broker, to `topic`. The others are
    those of the types of resources, such as `redis` with its `command_template`.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        json_schema_extra={
            "examples": [
                {"kind": "sql", "resource": "orders", "sql": "insert into warm(device) values (${device})"},
                {"kind": "republish", "topic": "alarms/${device}", "payload": "${.}"},
            ]
        },
    )

    kind: str = Field(default="sql", max_length=50, description=f"one of {', '.join(ACTIONS)}")
    resource: str = Field(default="", max_length=254, description="the resource's name; none for republish")


class RuleView(Value):
    """Which messages are taken, what is made of them, and where it goes."""

    id: str
    deployment: str
    name: Name
    sql: str
    actions: tuple[Action, ...] = ()
    enable: bool = True
    created: str


class Rule(RuleView, Stored):
    """The rule as stored."""

    kind: ClassVar[str] = "rule"


class AccessRule(Value):
    """A rule on topics; the first that fits decides, and what none allows is refused."""

    topic: str = Field(min_length=1, max_length=1000, description="a topic filter", examples=["sensors/#"])
    action: Literal["publish", "subscribe", "all"] = "all"
    permission: Literal["allow", "deny"] = "allow"


class MqttUserView(Value):
    """A user of a deployment's broker; without rules every topic is allowed."""

    id: str
    deployment: str
    name: str
    rules: tuple[AccessRule, ...] = ()
    created: str


class MqttUser(MqttUserView, Stored):
    """The MQTT user as stored."""

    kind: ClassVar[str] = "mqtt-user"
    hidden: ClassVar[frozenset[str]] = frozenset({"password"})
    password: str  # ciphertext: the broker is told the password itself
