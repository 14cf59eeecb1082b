"""What REST answers with, for the server that writes it and the client that reads it."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from tieline.cloud.guard.records import ApiKeyView, Grant, UserView
from tieline.cloud.model.pages import Paged
from tieline.cloud.model.records import DeploymentView, MqttUserView, PrivateLinkView, ResourceView, RuleView
from tieline.cloud.store.audit import AuditEntry


class AgentView(BaseModel):
    """An agent as its last report shows it."""

    connected: bool = False
    agents: int = Field(default=0, description="how many are connected")
    broker: bool = Field(default=False, description="whether the broker accepts connections")
    applied: int = Field(default=-1, description="the version of the configuration that runs; -1 none")
    error: str = ""
    without_origin: str = Field(
        default="", description="why rules see NULL as clientid and username; empty where they see them"
    )
    dead_letters: int = Field(default=0, description="messages that could not be used, kept on the agent's disk")


class CertificateView(BaseModel):
    """How long the certificate of a TLS listener is good for."""

    ends: str = Field(description="RFC 3339, UTC")
    renewed: bool = Field(description="whether the platform renews it in time; one that people brought is theirs")

    def __str__(self) -> str:
        return f"ends {self.ends[:10]}, {'renewed in time' if self.renewed else 'not renewed here'}"


class DeploymentAnswer(DeploymentView):
    """A deployment, and what its agent reports; `revision` is the configuration that the agent should have applied."""

    revision: int
    agent: AgentView
    tls_certificate: CertificateView | None = Field(default=None, description="of the TLS listener, where there is one")
    without_user: tuple[str, ...] = Field(
        default=(), description="the listeners that devices may use without a user now"
    )


class CreatedDeployment(DeploymentAnswer):
    """A new deployment; one whose agent is started by hand tells its join token here and never again."""

    join_token: str = Field(default="", description="for tieline agent --join; not where provider is fabric")


class JoinToken(BaseModel):
    """A join token, told here and never again."""

    join_token: str = Field(description="for tieline agent --join")


class Deployments(Paged):
    """All deployments."""

    deployments: list[DeploymentAnswer]


class Offer(BaseModel):
    """What the provider of a service must know before it can admit a deployment."""

    zones: list[str] = Field(description="AZ ids: the provider's load balancer must be in one of them at least")
    principal: str = Field(description="the ARN to add to the service's allowed principals")
    region: str


class AwsAccess(BaseModel):
    """What the owner of an AWS account must know before a deployment of a project can be in it."""

    principal: str = Field(description="the ARN that assumes the account's role")
    external_id: str = Field(description="what the role's trust policy demands as sts:ExternalId")
    region: str
    profiles: list[str] = Field(description="that deployments may name in place of a role")


class PrivateLinks(Paged):
    """Private links of a deployment, or of all."""

    private_links: list[PrivateLinkView]


class TrafficSample(NamedTuple):
    """What a link had carried at one time, since the agent started."""

    time: float  # Unix seconds
    flows: int  # connections that were open
    sent: int  # bytes to the provider
    received: int  # bytes from there


class LinkTraffic(BaseModel):
    """What the deployment's connections through one link carry."""

    id: str = Field(description="the link's id")
    link: str = Field(description="the link's name")
    flows: int = Field(description="connections that are open")
    sent: int = Field(description="bytes to the provider since the agent started")
    received: int
    sent_per_second: float = Field(description="bytes, over the last seconds")
    received_per_second: float
    samples: list[TrafficSample] = Field(description="[time in Unix seconds, flows, sent, received], the oldest first")


class Traffic(BaseModel):
    """What the private links of a deployment carry."""

    links: list[LinkTraffic]


class ResourceAnswer(ResourceView):
    """A resource, and how the agent finds it: connected, connecting, disconnected, or unknown while it is away."""

    status: str = "unknown"
    reason: str = ""
    hop: str = Field(default="", description="where on the way it failed: name, address, tcp, tls, login …")
    hint: str = ""
    cause: str = Field(default="", description="the last low-level error, in the server's or the system's own words")


class Resources(Paged):
    """Resources of a deployment, or of all."""

    resources: list[ResourceAnswer]


class RuleAnswer(RuleView):
    """A rule, and how it does on the agent: running, waiting, failed, stopped, or unknown while it is away."""

    status: str = "unknown"
    reason: str = ""
    metrics: dict[str, Any] = Field(default={}, description="matched, passed, failed …")
    action_metrics: list[dict[str, Any]] = Field(default=[], description="for each action: received, success, failed …")


class Rules(Paged):
    """Rules of a deployment, or of all."""

    rules: list[RuleAnswer]


class RuleSampled(NamedTuple):
    """A rule's counters at one time."""

    time: float  # Unix seconds
    matched: float
    passed: float
    failed: float


class ActionSampled(NamedTuple):
    """An action's counters at one time, in rows."""

    time: float  # Unix seconds
    received: float
    success: float
    failed: float
    dropped: float


class RuleMetrics(BaseModel):
    """A rule's counters and those of its actions, now and at regular times, as long as retention keeps them."""

    metrics: dict[str, Any]
    action_metrics: list[dict[str, Any]]
    history: list[RuleSampled] = Field(description="[time in Unix seconds, matched, passed, failed], the oldest first")
    action_history: list[list[ActionSampled]] = Field(
        description="for each action: [time in Unix seconds, received, success, failed, dropped] …"
    )


class Letter(BaseModel):
    """A message that a rule, or one action of it, could not use."""

    id: str
    time: int = Field(description="Unix milliseconds")
    rule: str = Field(description="the rule's id")
    action: str = Field(description="the action's id; empty where the rule itself failed")
    error: str
    message: dict[str, Any] = Field(description="the message; payload_base64 instead of payload where it is no text")
    output: dict[str, Any] | None = Field(description="what the rule made of it")


class Letters(Paged):
    """Dead letters, the oldest first."""

    letters: list[Letter]


class Replayed(BaseModel):
    """What becomes of letters: those on their way disappear once they are safe, or stay as newer letters."""

    under_way: int
    staying: dict[str, str] = Field(description="why a letter stays, by its id")


class RuleResult(BaseModel):
    """What a rule makes of a sample message: one row, or one per element for FOREACH."""

    result: Any


class Users(Paged):
    """Users."""

    users: list[UserView]


class ApiKeys(Paged):
    """API keys, without their text."""

    keys: list[ApiKeyView]


class CreatedApiKey(ApiKeyView):
    """A new key, with its text."""

    key: str = Field(description="told here and never again")


class Identity(Grant):
    """Who is asking."""

    name: str
    means: str = Field(description="key or user")


class AuditPage(Paged):
    """Changes, the newest first."""

    entries: list[AuditEntry]


class MqttUsers(Paged):
    """The MQTT users of a deployment, without their passwords."""

    mqtt_users: list[MqttUserView]
