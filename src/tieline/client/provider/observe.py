"""Looks at the provider's account: everything that carries the names and the tag of one exposure."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tieline.client.provider.account import Balancer, Group, Listener, Seen, Service, Subnet
from tieline.client.provider.exposure import EXPOSE_TAG, balancer_name
from tieline.cloud.aws.client import Aws, AwsRefused
from tieline.cloud.aws.zones import translated, zone_ids
from tieline.cloud.model.problems import PlatformError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ServiceConfigurationTypeDef
    from mypy_boto3_elbv2.type_defs import LoadBalancerTypeDef, TargetGroupTypeDef

LEAVING = {"draining"}  # a deregistered target is shown until its delay is over


async def observe(aws: Aws, name: str, vpc: str) -> Seen:
    """What there is of an exposure; raises AwsError where AWS does not tell, PlatformError for an unknown VPC."""
    ids = await zone_ids(aws)
    subnets, balancer, service = await asyncio.gather(
        find_subnets(aws, vpc), find_balancer(aws, name, ids), find_service(aws, name, ids)
    )
    listeners = await find_listeners(aws, balancer.arn) if balancer else ()
    return Seen(subnets, await find_groups(aws, name), balancer, listeners, service)


async def find_subnets(aws: Aws, vpc: str) -> tuple[Subnet, ...]:
    """The subnets of a VPC; raises PlatformError where the account has no such VPC."""
    if not vpc:
        return ()
    try:
        await aws.ec2(lambda ec2: ec2.describe_vpcs(VpcIds=[vpc]))
    except AwsRefused as error:
        if not error.code.startswith("InvalidVpc"):
            raise
        message = f"this account has no VPC {vpc} in {aws.settings.region}: {error.message}"
        hint = "check --vpc and --profile: the VPC is the one that the database is in"
        raise PlatformError(422, "UNKNOWN_VPC", message, hint) from error
    answer = await aws.ec2(lambda ec2: ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}]))
    found = [Subnet(item["SubnetId"], item["AvailabilityZoneId"]) for item in answer["Subnets"]]
    return tuple(sorted(found, key=lambda subnet: (subnet.zone, subnet.id)))


async def find_balancer(aws: Aws, name: str, ids: Mapping[str, str]) -> Balancer | None:
    """The exposure's load balancer, or whatever has its name."""
    try:
        answer = await aws.elb(lambda elb: elb.describe_load_balancers(Names=[balancer_name(name)]))
    except AwsRefused as error:
        if error.code == "LoadBalancerNotFound":
            return None
        raise
    item = answer["LoadBalancers"][0]
    arn = item["LoadBalancerArn"]
    attributes, tags = await asyncio.gather(
        aws.elb(lambda elb: elb.describe_load_balancer_attributes(LoadBalancerArn=arn)), _tags(aws, [arn])
    )
    settings = {each["Key"]: each["Value"] for each in attributes["Attributes"]}
    spread = settings.get("load_balancing.cross_zone.enabled") == "true"
    return _balancer(item, ids, spread, tags[arn].get(EXPOSE_TAG) == name)


def _balancer(item: LoadBalancerTypeDef, ids: Mapping[str, str], spread: bool, ours: bool) -> Balancer:
    return Balancer(
        arn=item["LoadBalancerArn"],
        scheme=item["Scheme"],
        kind=item["Type"],
        vpc=item["VpcId"],
        subnets={ids[zone["ZoneName"]]: zone["SubnetId"] for zone in item["AvailabilityZones"]},
        cross_zone=spread,
        ours=ours,
    )


async def find_listeners(aws: Aws, balancer: str) -> tuple[Listener, ...]:
    """The listeners of a load balancer, in order of port."""
    answer = await aws.elb(lambda elb: elb.describe_listeners(LoadBalancerArn=balancer))
    found = [
        Listener(item["ListenerArn"], item["Port"], item["DefaultActions"][0].get("TargetGroupArn", ""))
        for item in answer["Listeners"]
    ]
    return tuple(sorted(found, key=lambda listener: listener.port))


async def find_groups(aws: Aws, name: str) -> Mapping[str, Group]:
    """The target groups whose names an exposure uses, by name."""
    pages = await aws.elb(lambda elb: list(elb.get_paginator("describe_target_groups").paginate()))
    head = balancer_name(name)[:20]  # the part that every group's name of the exposure begins with
    items = [item for page in pages for item in page["TargetGroups"] if item["TargetGroupName"].startswith(head)]
    tags = await _tags(aws, [item["TargetGroupArn"] for item in items])
    groups = await asyncio.gather(*(_group(aws, item, tags[item["TargetGroupArn"]], name) for item in items))
    return {item["TargetGroupName"]: group for item, group in zip(items, groups, strict=True)}


async def _group(aws: Aws, item: TargetGroupTypeDef, tags: Mapping[str, str], name: str) -> Group:
    arn = item["TargetGroupArn"]
    answer = await aws.elb(lambda elb: elb.describe_target_health(TargetGroupArn=arn))
    targets = {
        (each["Target"]["Id"], each["Target"].get("Port", item["Port"]))
        for each in answer["TargetHealthDescriptions"]
        if each["TargetHealth"].get("State") not in LEAVING
    }
    return Group(arn, item["TargetType"], item.get("VpcId", ""), frozenset(targets), tags.get(EXPOSE_TAG) == name)


async def find_service(aws: Aws, name: str, ids: Mapping[str, str]) -> Service | None:
    """The exposure's endpoint service: the first with its tag."""
    answer = await aws.ec2(
        lambda ec2: ec2.describe_vpc_endpoint_service_configurations(
            Filters=[{"Name": f"tag:{EXPOSE_TAG}", "Values": [name]}]
        )
    )
    items = [
        item for item in answer["ServiceConfigurations"] if item.get("ServiceState") not in ("Deleting", "Deleted")
    ]
    if not items:
        return None
    item = min(items, key=lambda one: one["ServiceId"])
    id = item["ServiceId"]
    allowed = await aws.ec2(lambda ec2: ec2.describe_vpc_endpoint_service_permissions(ServiceId=id))
    return _service(item, frozenset(each.get("Principal", "") for each in allowed["AllowedPrincipals"]), ids)


def _service(item: ServiceConfigurationTypeDef, principals: frozenset[str], ids: Mapping[str, str]) -> Service:
    zones = frozenset(translated(item.get("AvailabilityZones", []), ids))
    return Service(
        item["ServiceId"], item["ServiceName"], principals, zones, frozenset(item.get("NetworkLoadBalancerArns", []))
    )


async def _tags(aws: Aws, arns: list[str]) -> dict[str, dict[str, str]]:
    """The tags of load balancers and target groups, by ARN; AWS takes twenty at a time."""
    found: dict[str, dict[str, str]] = {}
    for start in range(0, len(arns), 20):
        some = arns[start : start + 20]
        answer = await aws.elb(lambda elb, some=some: elb.describe_tags(ResourceArns=some))  # type: ignore[misc]
        for item in answer["TagDescriptions"]:
            found[item["ResourceArn"]] = {tag["Key"]: tag.get("Value", "") for tag in item["Tags"]}
    return found
