"""What people ask of deployments: create one after a check that cannot half-succeed, delete one, and the offer."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import ConfigDict, Field, SecretStr

from tieline.base.secrets import Vault, hashed, new_id
from tieline.cloud.aws.accounts import Accounts
from tieline.cloud.aws.apart import check_network, visible
from tieline.cloud.aws.client import Aws, AwsRefused, AwsUnreachable
from tieline.cloud.aws.zones import zone_ids
from tieline.cloud.deployments.existing import ExistingNetwork, find_subnets
from tieline.cloud.deployments.listeners import MQTT_PORT, Listening, addresses, mqtt_address, with_listeners
from tieline.cloud.deployments.mqtt_users import users_of
from tieline.cloud.deployments.network import DEFAULT_CIDR, chosen_zones, layout, network
from tieline.cloud.guard.records import Grant
from tieline.cloud.guard.roles import Role
from tieline.cloud.links.service import leaving
from tieline.cloud.links.states import aws_problem
from tieline.cloud.model.history import remembered, timestamp
from tieline.cloud.model.problems import PlatformError, in_use, name_taken
from tieline.cloud.model.providers import DeploymentAccount, Provider
from tieline.cloud.model.records import (
    MASK,
    Address,
    Deployment,
    DeploymentStatus,
    Name,
    PrivateLink,
    RemoteBroker,
    Resource,
    Rule,
    Subnet,
)
from tieline.cloud.resources.addresses import check_address
from tieline.cloud.schemas.answers import Offer
from tieline.cloud.store.repository import Repository

INSIDE = Address(host="0.0.0.0", port=MQTT_PORT)  # the broker of an instance serves its whole VPC


ALL = Grant(role=Role.ADMINISTRATOR)  # of the platform itself
REMOTE_CHANGES = {"name", "description", "project", "broker"}  # of a deployment with its owner's broker
MOST_WORKERS = 64  # a machine has hardly more processors


class NewRemoteBroker(RemoteBroker):
    """A broker of one's own, with the password to it. Agents share its messages by shared subscription."""

    model_config = ConfigDict(extra="forbid")

    password: SecretStr = Field(default=SecretStr(""), max_length=1000)


class NewDeployment(Listening):
    """A deployment to create. `fabric`: in a network of its own that the platform makes, broker and agent included.

    `aws`: in a VPC that exists. `external`: anywhere, without private links. For both the agent is started by hand,
    with the token of the answer.
    """

    model_config = ConfigDict(extra="forbid")

    name: Name
    description: str = Field(default="", max_length=1000)
    project: Name = "default"
    provider: Provider = "fabric"
    aws: ExistingNetwork | None = Field(default=None, description="the network; where provider is aws, and only there")
    cidr: str = Field(default=DEFAULT_CIDR, max_length=43)
    zones: tuple[str, ...] = Field(default=(), max_length=6, description="AZ ids; the first two where none are named")
    broker: NewRemoteBroker | None = Field(
        default=None, description="an MQTT 5 broker of one's own, such as EMQX; not where provider is fabric"
    )
    workers: int = Field(default=1, ge=1, le=MOST_WORKERS)
    mqtt: Address | None = Field(default=None, description="where devices connect; a free loopback port by default")


class DeploymentChange(Listening):
    """What to change about a deployment; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    description: str | None = Field(default=None, max_length=1000)
    project: Name | None = None
    workers: int | None = Field(default=None, ge=1, le=MOST_WORKERS)
    broker: NewRemoteBroker | None = Field(default=None, description="one's own broker, where there is one already")


async def create_deployment(
    records: Repository, accounts: Accounts, vault: Vault, wanted: NewDeployment, who: str, grant: Grant = ALL
) -> tuple[Deployment, str]:
    """Record a deployment and return it with its join token; raises PlatformError with nothing changed. `grant` is what
    whoever asks may do, and where.
    """
    by_hand = wanted.provider != "fabric"
    network(wanted.cidr)
    account, subnets, made_for = await _placed(accounts, vault, wanted)
    if wanted.aws is not None:
        check_network(records, grant, wanted.aws.vpc, made_for)
    others = records.all(Deployment)
    if any(other.name == wanted.name for other in others):
        raise name_taken("deployment", wanted.name)
    _check_broker(wanted)
    others = visible(others, grant, not by_hand)
    taken = [address for other in others for address in addresses(other)]
    mqtt = _remote_address(wanted) or mqtt_address(wanted.mqtt, taken, not by_hand)
    id, created = new_id("dep"), timestamp(time.time())
    token = vault.join_token(id)
    deployment = Deployment(
        id=id,
        name=wanted.name,
        description=wanted.description,
        project=wanted.project,
        provider=wanted.provider,
        aws=account,
        cidr="" if by_hand else wanted.cidr,
        vpc=wanted.aws.vpc if wanted.aws else "",
        subnets=subnets,
        mqtt=mqtt,
        created=created,
        token_hash=hashed(token),
        broker=mqtt if by_hand else INSIDE,
        anonymous=wanted.anonymous,
        websocket_origins=wanted.websocket_origins,
        workers=wanted.workers,
        **_remote(vault, wanted.broker),
    )
    deployment = remembered(with_listeners(vault, deployment, wanted, others), created, who, "created")
    records.commit(write=[deployment])
    return deployment, token


async def _placed(
    accounts: Accounts, vault: Vault, wanted: NewDeployment
) -> tuple[DeploymentAccount | None, tuple[Subnet, ...], frozenset[str]]:
    """The account and the subnets of a new deployment, and whom its VPC was made for; raises PlatformError."""
    if (wanted.aws is not None) != (wanted.provider == "aws"):
        message = "a deployment of the provider aws needs the network that it is in, and no other takes one"
        raise PlatformError(422, "AWS_NETWORK", message, "give provider aws together with aws: {vpc: vpc-…}")
    if wanted.aws is not None:
        accounts.check(wanted.aws)
        known = wanted.aws.model_dump(include=set(DeploymentAccount.model_fields))
        account = DeploymentAccount(**known, external_id=vault.external_id(wanted.project) if known["role"] else "")
        return account, *(await find_subnets(accounts.of(account), wanted.aws))
    if wanted.provider == "external":
        return None, (), frozenset()
    return None, layout(wanted.cidr, chosen_zones(wanted.zones, await _zones(accounts.own))), frozenset()


def change_deployment(
    records: Repository, vault: Vault, deployment: Deployment, wanted: DeploymentChange, who: str, grant: Grant = ALL
) -> Deployment:
    """Change a deployment; raises PlatformError with nothing changed."""
    others = records.all(Deployment, lambda other: other.id != deployment.id)
    if deployment.remote is not None and wanted.model_fields_set - REMOTE_CHANGES:
        raise not_ours(deployment.name)
    if deployment.remote is None and wanted.broker is not None:
        message = f"deployment {deployment.name!r} has a broker of the platform's, and keeps it"
        raise PlatformError(409, "EXTERNAL_BROKER", message, "create another deployment with a broker of your own")
    plain = wanted.model_dump(include={"name", "description", "project", "workers"}, exclude_none=True)
    moved = _moved(vault, deployment, wanted.broker)
    seen = visible(others, grant, not deployment.joined_by_hand)
    changed = with_listeners(vault, deployment.model_copy(update=plain | moved), wanted, seen)
    if changed == deployment:
        return deployment
    if any(other.name == changed.name for other in others):
        raise name_taken("deployment", changed.name)
    told = f"changed {', '.join(sorted(wanted.model_fields_set))}"
    records.commit(write=[remembered(changed, timestamp(time.time()), who, told)])
    return records.get(Deployment, deployment.id) or changed


def _moved(vault: Vault, deployment: Deployment, wanted: NewRemoteBroker | None) -> dict[str, Any]:
    """The fields of a broker that is elsewhere now; none where it is the same, password included."""
    if wanted is None:
        return {}
    found = _remote(vault, wanted)
    if vault.decrypt(deployment.remote_password) == wanted.password.get_secret_value():
        found["remote_password"] = deployment.remote_password
    place = Address(host=wanted.host, port=wanted.port)
    return {**found, "mqtt": place, "broker": place}


def _check_broker(wanted: NewDeployment) -> None:
    """Raises PlatformError where a broker of one's own is combined with what only the platform's broker has."""
    if wanted.broker is None:
        return
    if wanted.provider == "fabric":
        message = "a deployment in a network of the platform's has a broker of the platform's"
        hint = "give provider external, or aws with the broker's VPC, and start an agent by hand"
        raise PlatformError(422, "EXTERNAL_BROKER", message, hint)
    if wanted.mqtt or wanted.mqtts or wanted.websocket or wanted.certificate or wanted.workers > 1:
        raise not_ours(wanted.name)


def not_ours(name: str) -> PlatformError:
    """The answer to managing the broker that a deployment's owner brought."""
    message = f"deployment {name!r} uses a broker of its owner's: listeners and users are not the platform's"
    return PlatformError(409, "EXTERNAL_BROKER", message, "manage them there; for more throughput start more agents")


def _remote_address(wanted: NewDeployment) -> Address | None:
    return Address(host=wanted.broker.host, port=wanted.broker.port) if wanted.broker else None


def _remote(vault: Vault, wanted: NewRemoteBroker | None) -> dict[str, Any]:
    if wanted is None:
        return {}
    if wanted.password.get_secret_value() == MASK:  # it goes with the place that it is given for, each time
        message = f"broker.password: {MASK} stands for no password of a broker"
        raise PlatformError(422, "SECRET_REQUIRED", message, "give the password together with the broker")
    check_address(wanted.host, inside=False, allowed=())
    remote = RemoteBroker.model_validate(wanted.model_dump(exclude={"password"}))
    return {"remote": remote, "remote_password": vault.encrypt(wanted.password.get_secret_value())}


def switch(records: Repository, deployment: Deployment, wanted: Literal["running", "stopped"], who: str) -> Deployment:
    """Ask for a deployment to be stopped or started; asking again changes nothing. Raises PlatformError."""
    if deployment.status is DeploymentStatus.DELETING:
        raise PlatformError(409, "DELETING", f"deployment {deployment.name!r} is being deleted", "use another one")
    if deployment.wanted == wanted:
        return deployment
    asked = deployment.model_copy(update={"wanted": wanted, "joined": False, "halted": False})
    event = "start asked for" if wanted == "running" else "stop asked for"
    records.commit(write=[remembered(asked, timestamp(time.time()), who, event)])
    return records.get(Deployment, deployment.id) or asked


def delete_deployment(records: Repository, deployment: Deployment, who: str, cascade: bool = False) -> list[str]:
    """Mark a deployment for deletion, and with `cascade` all in it; returns the ids of the links that must go first.

    Raises PlatformError while anything is in it, unless `cascade`.
    """
    links, resources, rules = _contents(records, deployment)
    if (links or resources or rules) and not cascade:
        raise in_use("deployment", deployment.name, [*rules, *resources, *links])
    at = timestamp(time.time())
    if deployment.status is not DeploymentStatus.DELETING:
        gone = {"status": DeploymentStatus.DELETING, "reason": None, "hint": ""}
        deployment = remembered(deployment.model_copy(update=gone), at, who, "deletion asked for")
    write = [deployment, *(leaving(link, at, who) for link in links)]
    records.commit(write=write, delete=[*rules, *resources, *users_of(records, deployment)])
    return [link.id for link in links]


async def offer(aws: Aws, deployment: Deployment) -> Offer:
    """What the `+PrivateLink` dialog shows; raises PlatformError for a deployment that has no network of AWS's."""
    if deployment.provider == "external":
        message = f"deployment {deployment.name!r} is external: no endpoint can be made for it"
        raise PlatformError(409, "EXTERNAL_DEPLOYMENT", message, "use a deployment with provider fabric or aws")
    try:
        principal = (await aws.identity()).principal
    except (AwsUnreachable, AwsRefused) as error:
        raise aws_problem(error) from error
    return Offer(zones=_zone_list(deployment.subnets), principal=principal, region=aws.settings.region)


async def _zones(aws: Aws) -> tuple[str, ...]:
    try:
        return tuple(sorted((await zone_ids(aws)).values()))
    except (AwsUnreachable, AwsRefused) as error:
        raise aws_problem(error) from error


def _zone_list(subnets: Iterable[Subnet]) -> list[str]:
    return sorted({subnet.zone for subnet in subnets})


def _contents(records: Repository, deployment: Deployment) -> tuple[list[PrivateLink], list[Resource], list[Rule]]:
    """Everything that is in a deployment."""
    return (
        records.all(PrivateLink, lambda link: link.deployment == deployment.id),
        records.all(Resource, lambda resource: resource.deployment == deployment.id),
        records.all(Rule, lambda rule: rule.deployment == deployment.id),
    )
