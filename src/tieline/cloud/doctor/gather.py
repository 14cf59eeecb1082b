"""Gathers what the platform can find out about a link: from its records, its AWS account, and the agent inside."""

from __future__ import annotations

import asyncio
import time

from tieline.base.servers import split_servers
from tieline.cloud.agents.agent_registry import probe_failed
from tieline.cloud.agents.configuration import to_rule
from tieline.cloud.aws.client import Aws, AwsError
from tieline.cloud.doctor.evidence import Door, Evidence, Inside, ResourceTest, Visible
from tieline.cloud.doctor.health import LinkHealth, to_probe
from tieline.cloud.links.figures import figures_of
from tieline.cloud.links.observe import find_service
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import Deployment, LinkStatus, PrivateLink, Resource, Rule
from tieline.cloud.platform.platform import Platform
from tieline.cloud.resources.dependants import resources_using, rules_using
from tieline.cloud.resources.service import elsewhere, secrets_again, to_config
from tieline.integration.config import shapes as config
from tieline.integration.sinks.base.network import addresses

DIAL_SECONDS = 2.0  # for the name, and for each port: a private link answers within milliseconds, or not at all
TEST_SECONDS = 8.0


async def gather(there: Platform, deployment: Deployment, link: PrivateLink) -> Evidence:
    """Everything at once, so that the doctor takes as long as its slowest question."""
    aws = there.accounts.of(deployment.aws)
    behind = resources_using(link, there.records.all(Resource))
    ports = tuple(
        sorted({*link.ports, *(port for resource in behind for _, _, port in split_servers(resource.server))})
    )
    (principal, visible, error), inside, tested = await asyncio.gather(
        _visible(aws, link), look_inside(there, link, ports), _test_all(there, link, behind)
    )
    return Evidence(
        link=link.name,
        service_name=link.service_name,
        region=aws.settings.region,
        principal=principal,
        deployment_zones=tuple(sorted({subnet.zone for subnet in deployment.subnets})),
        status=link.status,
        reason=link.reason or "",
        hint=link.hint,
        cause=link.cause,
        endpoint=link.endpoint,
        endpoint_state=link.endpoint_state,
        zones=link.zones,
        address=link.address,
        ports=link.ports,
        aws_error=error,
        visible=visible,
        inside=inside,
        resources=tested,
    )


async def look_inside(there: Platform, link: PrivateLink, ports: tuple[int, ...]) -> Inside | None:
    """The link's name and ports as the agent finds them; None while the link does not run."""
    if link.status is not LinkStatus.RUNNING or not link.address:
        return None
    try:
        found = await there.hub.dial(link.deployment, link.address, ports, DIAL_SECONDS)
    except PlatformError as error:
        return Inside(error=error.message, hint=error.hint)
    doors = tuple(Door(port=door.port, cause=door.cause, seconds=door.seconds) for door in found.doors)
    return Inside(addresses=found.addresses, cause=found.cause, doors=doors)


async def probe_link(there: Platform, link: PrivateLink) -> LinkHealth:
    """Look now. The backends stay unknown: the platform has no access to the provider's account."""
    deployment = there.records.get(Deployment, link.deployment)
    aws = there.accounts.of(deployment.aws if deployment else None)
    inside, figures = await asyncio.gather(look_inside(there, link, link.ports), figures_of(aws, link.endpoint))
    return LinkHealth(
        link=link.status,
        probe=to_probe(inside, time.time()),
        figures=figures,
        changed=there.records.audit.find(link.noted) if link.noted else None,
    )


async def _visible(aws: Aws, link: PrivateLink) -> tuple[str, Visible | None, str]:
    try:
        principal = (await aws.identity()).principal
        service = await find_service(aws, link.service_name)
    except AwsError as error:
        return "the platform", None, f"the platform's AWS account cannot be asked: {error}"
    return principal, Visible(zones=service.zones) if service else None, ""


async def _test_all(there: Platform, link: PrivateLink, resources: list[Resource]) -> tuple[ResourceTest, ...]:
    if link.status is not LinkStatus.RUNNING:
        return ()
    return tuple(await asyncio.gather(*(_test(there, link, resource) for resource in resources)))


async def _test(there: Platform, link: PrivateLink, resource: Resource) -> ResourceTest:
    """The Test of one resource, with the statements of the rules that use it."""
    try:
        wanted = to_config(resource, there.vault, [link])
        actions = actions_on(resource, rules_using(resource, there.records.all(Rule)))
        known = {
            "name": resource.name,
            "server": wanted.address,
            "port": split_servers(resource.server)[0][2],
            "tls": wanted.tls,
            "server_name": wanted.ssl.server_name or addresses(wanted.address, wanted.PORT)[0][0],
            "statements": len(actions),
        }
    except PlatformError as error:
        port = split_servers(resource.server)[0][2]
        return ResourceTest(name=resource.name, server=resource.server, port=port, hop="agent", message=error.message)
    try:
        if elsewhere(resource, there.vault, [link]):
            raise probe_failed("login", *secrets_again(link))
        await there.hub.probe(resource.deployment, wanted, actions, TEST_SECONDS)
    except PlatformError as error:
        told = {"hop": str(error.extra.get("hop", "agent")), "cause": str(error.extra.get("cause", ""))}
        return ResourceTest.model_validate({**known, **told, "message": error.message, "hint": error.hint})
    return ResourceTest.model_validate(known)


def actions_on(resource: Resource, rules: list[Rule]) -> tuple[config.Action, ...]:
    """What these rules do with one resource, as the agent needs it."""
    ids = {resource.name: resource.id}
    own = [rule.model_copy(update={"actions": tuple(a for a in rule.actions if a.resource in ids)}) for rule in rules]
    return tuple(action for rule in own for action in to_rule(rule, ids).actions)
