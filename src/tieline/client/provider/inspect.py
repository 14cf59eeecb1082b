"""Asks the provider's account about a service: who is allowed, what balances, what listens, and how the targets are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tieline.client.provider.account import Listener
from tieline.client.provider.consent import connections
from tieline.client.provider.observe import find_listeners
from tieline.cloud.aws.client import Aws, AwsError, AwsRefused
from tieline.cloud.aws.zones import translated, zone_ids
from tieline.cloud.doctor.evidence import Balancer, Provider, Target
from tieline.cloud.links.states import service_id

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ServiceConfigurationTypeDef


async def ask_provider(aws: Aws, service_name: str, endpoint: str) -> Provider:
    """What the account shows of a service; an account that does not tell is evidence, too."""
    try:
        return await _ask(aws, service_id(service_name), endpoint)
    except AwsError as error:
        return Provider(error=f"the provider's account cannot be asked: {error}")


async def _ask(aws: Aws, service: str, endpoint: str) -> Provider:
    item = await _service(aws, service)
    if item is None:
        return Provider(exists=False)
    allowed, asking, ids, balancers = await asyncio.gather(
        aws.ec2(lambda ec2: ec2.describe_vpc_endpoint_service_permissions(ServiceId=service)),
        connections(aws, service),
        zone_ids(aws),
        _balancers(aws, item.get("NetworkLoadBalancerArns", [])),
    )
    listeners = [each for one in balancers if one.kind == "network" for each in await find_listeners(aws, one.arn)]
    return Provider(
        exists=True,
        principals=tuple(each.get("Principal", "") for each in allowed["AllowedPrincipals"]),
        zones=translated(item.get("AvailabilityZones", []), ids),
        balancers=balancers,
        listeners=tuple(sorted(listener.port for listener in listeners)),
        targets=tuple([each for listener in listeners for each in await _targets(aws, listener)]),
        connection=next((one.state for one in asking if one.endpoint == endpoint), ""),
    )


async def _service(aws: Aws, id: str) -> ServiceConfigurationTypeDef | None:
    try:
        answer = await aws.ec2(lambda ec2: ec2.describe_vpc_endpoint_service_configurations(ServiceIds=[id]))
    except AwsRefused as error:
        if error.code.startswith("InvalidVpcEndpointService"):
            return None
        raise
    return next(iter(answer["ServiceConfigurations"]), None)


async def _balancers(aws: Aws, arns: list[str]) -> tuple[Balancer, ...]:
    if not arns:
        return ()
    answer = await aws.elb(lambda elb: elb.describe_load_balancers(LoadBalancerArns=arns))
    ids = await zone_ids(aws)
    return tuple(
        Balancer(
            arn=item["LoadBalancerArn"],
            kind=item["Type"],
            scheme=item["Scheme"],
            state=item.get("State", {}).get("Code", ""),
            zones=translated((zone["ZoneName"] for zone in item["AvailabilityZones"]), ids),
        )
        for item in answer["LoadBalancers"]
    )


async def _targets(aws: Aws, listener: Listener) -> list[Target]:
    if not listener.group:
        return []
    answer = await aws.elb(lambda elb: elb.describe_target_health(TargetGroupArn=listener.group))
    return [
        Target(
            listen=listener.port,
            target=f"{item['Target']['Id']}:{item['Target'].get('Port', listener.port)}",
            state=item["TargetHealth"].get("State", ""),
            reason=item["TargetHealth"].get("Reason", ""),
            description=item["TargetHealth"].get("Description", ""),
        )
        for item in answer["TargetHealthDescriptions"]
    ]
