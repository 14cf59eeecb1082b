"""What people ask of private links: create one after a check that cannot half-succeed, and delete one in any state."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from tieline.base.hostport import joined
from tieline.base.secrets import new_id
from tieline.base.servers import LINK_SCHEME, remapped, rewritten
from tieline.cloud.aws.client import Aws, AwsRefused, AwsUnreachable
from tieline.cloud.links import states
from tieline.cloud.links.observe import find_service
from tieline.cloud.links.plan import Service, addresses, common, zone_sets
from tieline.cloud.model.history import remembered, timestamp
from tieline.cloud.model.problems import PlatformError, in_use, name_taken
from tieline.cloud.model.records import (
    Deployment,
    DeploymentStatus,
    LinkStatus,
    Name,
    PrivateLink,
    Reason,
    Resource,
    Rule,
    Subnet,
)
from tieline.cloud.resources.dependants import resources_using, rules_using
from tieline.cloud.store.repository import Repository

SERVICE_NAME = re.compile(r"com\.amazonaws\.vpce\.[a-z0-9-]+\.vpce-svc-[0-9a-f]{8,17}")


SERVER_NAME = r"^[0-9A-Za-z._-]*$"


class NewLink(BaseModel):
    """A private link to create. `ports` are the listener ports that the provider told, for ready addresses."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    description: str = Field(default="", max_length=1000)
    service_name: str = Field(max_length=200, examples=["com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"])
    ports: tuple[int, ...] = Field(default=(), max_length=50, examples=[[5432]])  # 50 listeners per balancer (aws.md)
    server_name: str = Field(
        default="", max_length=253, pattern=SERVER_NAME, description="what TLS to the servers behind it verifies"
    )


class LinkChange(BaseModel):
    """What to change about a private link; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None
    description: str | None = Field(default=None, max_length=1000)
    ports: tuple[int, ...] | None = Field(default=None, max_length=50, examples=[[5432]])
    server_name: str | None = Field(default=None, max_length=253, pattern=SERVER_NAME)


async def check_link(aws: Aws, deployment: Deployment, wanted: NewLink) -> None:
    """Raise PlatformError unless a link to this service could be created now."""
    check_form(deployment, wanted, aws.settings.region)
    try:
        await check_service(aws, deployment, wanted.service_name)
    except (AwsUnreachable, AwsRefused) as error:
        raise states.aws_problem(error) from error


async def create_link(records: Repository, aws: Aws, deployment: Deployment, wanted: NewLink, who: str) -> PrivateLink:
    """Record a link whose service exists, allows us and shares a zone; raises PlatformError with nothing changed."""
    await check_link(aws, deployment, wanted)
    present = records.get(Deployment, deployment.id)  # the checks took time
    if present is None or present.status is DeploymentStatus.DELETING:
        raise deployment_leaves(deployment)
    if records.all(PrivateLink, lambda link: (link.deployment, link.name) == (deployment.id, wanted.name)):
        raise name_taken("private link", wanted.name)
    created = timestamp(time.time())
    link = PrivateLink(id=new_id("pl"), deployment=deployment.id, created=created, **wanted.model_dump())
    link = remembered(link, created, who, "created")
    records.commit(write=[link])
    return link


def change_link(records: Repository, link: PrivateLink, wanted: LinkChange, who: str) -> PrivateLink:
    """Change a link, and the resources that name it; raises PlatformError with nothing changed."""
    changes = wanted.model_dump(exclude_none=True)
    _check_ports(wanted.ports or ())
    changed = link.model_copy(update=changes)
    if changed.address:
        changed = changed.model_copy(update={"addresses": addresses(changed.address, changed.ports)})
    if changed == link:
        return link
    named: list[Resource] = []
    if changed.name != link.name:
        if records.all(PrivateLink, lambda other: (other.deployment, other.name) == (link.deployment, changed.name)):
            raise name_taken("private link", changed.name)
        named = resources_using(link, records.all(Resource))
    moved = [_renamed(item, link.name, changed.name) for item in named]
    changed = remembered(changed, timestamp(time.time()), who, f"changed {', '.join(changes)}")
    records.commit(write=[changed, *moved])
    return records.get(PrivateLink, link.id) or changed


def _renamed(resource: Resource, old: str, new: str) -> Resource:
    """The resource with the link's new name in place of the old one, wherever it names it."""

    def place(name: str, host: str, port: int) -> str:
        return f"{LINK_SCHEME}:{new if name == old else name}:{port}" if name else joined(host, port)

    server, options = rewritten(resource.server, place), remapped(resource.options, place)
    return resource.model_copy(update={"server": server, "options": options})


def delete_link(records: Repository, link: PrivateLink, who: str, cascade: bool = False) -> PrivateLink:
    """Mark a link for deletion, in any state; raises PlatformError while resources use it, unless `cascade`."""
    resources = resources_using(link, records.all(Resource))
    all_rules = records.all(Rule) if resources else []
    rules = {rule.id: rule for resource in resources for rule in rules_using(resource, all_rules)}
    if resources and not cascade:
        raise in_use("private link", link.name, [*resources, *rules.values()])
    link = leaving(link, timestamp(time.time()), who)
    records.commit(write=[link], delete=[*rules.values(), *resources])
    return link


def leaving(link: PrivateLink, at: str, who: str) -> PrivateLink:
    """The link on its way out; one that is already stays as it is."""
    if link.status is LinkStatus.DELETING:
        return link
    gone = {"status": LinkStatus.DELETING, "reason": None, "hint": "", "cause": ""}
    return remembered(link.model_copy(update=gone), at, who, "deletion asked for")


def check_form(deployment: Deployment, wanted: NewLink, region: str) -> None:
    """Raise PlatformError for what can be seen to be wrong without asking AWS."""
    if deployment.provider == "external":
        raise PlatformError(
            409,
            "EXTERNAL_DEPLOYMENT",
            f"deployment {deployment.name!r} runs outside the platform's network: it has no VPC for an endpoint",
            "name the address in the resource directly, or use a deployment with provider fabric or aws",
        )
    if deployment.status is DeploymentStatus.DELETING:
        raise deployment_leaves(deployment)
    if not all(subnet.id for subnet in deployment.subnets) or not deployment.vpc:
        raise PlatformError(
            409, "NOT_READY", f"deployment {deployment.name!r} has no network yet", "wait until it is running"
        )
    if not SERVICE_NAME.fullmatch(wanted.service_name):
        raise PlatformError(
            422,
            "INVALID_SERVICE_NAME",
            f"{wanted.service_name!r} is no endpoint service name",
            "copy it from the provider: com.amazonaws.vpce.<region>.vpce-svc-<id>",
        )
    if states.service_region(wanted.service_name) != region:
        raise PlatformError(
            422,
            "WRONG_REGION",
            f"the service is in {states.service_region(wanted.service_name)}, the deployment in {region}",
            f"ask the provider for a service in {region}",
        )
    _check_ports(wanted.ports)


def _check_ports(ports: Iterable[int]) -> None:
    bad = [port for port in ports if not 1 <= port <= 65535]
    if bad:
        raise PlatformError(422, "INVALID_PORT", f"port {bad[0]} is not a number from 1 to 65535", "check the ports")


def deployment_leaves(deployment: Deployment) -> PlatformError:
    """Refused, for the deployment is on its way out."""
    return PlatformError(409, "DELETING", f"deployment {deployment.name!r} is being deleted", "use another one")


async def check_service(aws: Aws, deployment: Deployment, name: str) -> None:
    """Raise PlatformError unless the service exists, allows us and shares a zone; AwsError where AWS does not tell."""
    service = await find_service(aws, name)
    if service is None:
        principal = (await aws.identity()).principal
        hint = states.hint(Reason.NOT_ALLOWED, service_name=name, endpoint="", principal=principal)
        message = f"service {name} does not exist, or its provider does not allow {principal}"
        raise PlatformError(422, "NOT_ALLOWED", message, hint, principal=principal)
    _check_zones(deployment.subnets, service)


def _check_zones(subnets: tuple[Subnet, ...], service: Service) -> None:
    if common(subnets, service):
        return
    raise PlatformError(
        422,
        "ZONE_MISMATCH",
        f"no zone in common: {zone_sets(subnets, service)}",
        "the provider enables one of the deployment's zones on the service's load balancer",
        deployment_zones=sorted({subnet.zone for subnet in subnets}),
        service_zones=sorted(service.zones),
    )
