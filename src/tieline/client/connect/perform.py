"""Carries out one step of the plan in the provider's account, and says what the account shows after it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from tieline.client.connect import plan as steps
from tieline.client.connect.plan import Step
from tieline.client.provider.account import Balancer, Group, Listener, Seen, Service
from tieline.client.provider.exposure import EXPOSE_TAG, Exposure
from tieline.cloud.aws.client import Aws, AwsRefused, tagged

T = TypeVar("T")

CHECK_SECONDS = 5  # AWS's shortest interval between health checks
ANSWER_SECONDS = 4  # for a check's answer: less than the interval
CHECKS = 2  # AWS's smallest thresholds, so that a backend that comes or goes is noticed soon


async def perform(aws: Aws, wanted: Exposure, seen: Seen, step: Step) -> Seen:
    """Do a step; raises AwsError. `seen` is what earlier steps left, and is not looked at again."""
    match step:
        case steps.CreateGroup():
            return await _create_group(aws, wanted, seen, step)
        case steps.Register() | steps.Deregister():
            return await _targets(aws, seen, step)
        case steps.CreateBalancer() | steps.SetSubnets() | steps.CrossZones():
            return await _balance(aws, wanted, seen, step)
        case steps.CreateListener() | steps.PointListener():
            return await _listen(aws, wanted, seen, step)
        case steps.CreateService() | steps.RefreshService() | steps.Allow():
            return await _serve(aws, wanted, seen, step)


async def _create_group(aws: Aws, wanted: Exposure, seen: Seen, step: steps.CreateGroup) -> Seen:
    check = str(wanted.health_port) if wanted.health_port else "traffic-port"
    asked: Any = {
        "Name": step.name,
        "Protocol": "TCP",
        "Port": step.port,
        "VpcId": wanted.vpc,
        "TargetType": step.kind,
        "HealthCheckProtocol": "TCP",
        "HealthCheckPort": check,
        "HealthCheckIntervalSeconds": CHECK_SECONDS,
        "HealthCheckTimeoutSeconds": ANSWER_SECONDS,
        "HealthyThresholdCount": CHECKS,
        "UnhealthyThresholdCount": CHECKS,
        "Tags": _tags(wanted),
    }
    answer = await aws.elb(lambda elb: elb.create_target_group(**asked))
    group = Group(answer["TargetGroups"][0]["TargetGroupArn"], step.kind, wanted.vpc)
    return replace(seen, groups={**seen.groups, step.name: group})


async def _targets(aws: Aws, seen: Seen, step: steps.Register | steps.Deregister) -> Seen:
    group = seen.groups[step.name]
    targets: Any = [{"Id": host, "Port": port} for host, port in step.targets]
    if isinstance(step, steps.Register):
        await aws.elb(lambda elb: elb.register_targets(TargetGroupArn=group.arn, Targets=targets))
        present = group.targets | set(step.targets)
    else:
        await aws.elb(lambda elb: elb.deregister_targets(TargetGroupArn=group.arn, Targets=targets))
        present = group.targets - set(step.targets)
    return replace(seen, groups={**seen.groups, step.name: replace(group, targets=present)})


async def _balance(
    aws: Aws, wanted: Exposure, seen: Seen, step: steps.CreateBalancer | steps.SetSubnets | steps.CrossZones
) -> Seen:
    if isinstance(step, steps.CreateBalancer):
        asked: Any = {"Name": step.name, "Subnets": list(step.subnets.values()), "Tags": _tags(wanted)}
        answer = await aws.elb(lambda elb: elb.create_load_balancer(Scheme="internal", Type="network", **asked))
        arn = answer["LoadBalancers"][0]["LoadBalancerArn"]
        return replace(seen, balancer=Balancer(arn, vpc=wanted.vpc, subnets=step.subnets))
    balancer = _there(seen.balancer)
    if isinstance(step, steps.SetSubnets):
        subnets = list(step.subnets.values())
        await aws.elb(lambda elb: elb.set_subnets(LoadBalancerArn=balancer.arn, Subnets=subnets))
        return replace(seen, balancer=replace(balancer, subnets=step.subnets))
    spread: Any = [{"Key": "load_balancing.cross_zone.enabled", "Value": "true"}]
    await aws.elb(lambda elb: elb.modify_load_balancer_attributes(LoadBalancerArn=balancer.arn, Attributes=spread))
    return replace(seen, balancer=replace(balancer, cross_zone=True))


async def _listen(aws: Aws, wanted: Exposure, seen: Seen, step: steps.CreateListener | steps.PointListener) -> Seen:
    group = seen.groups[step.group].arn
    actions: Any = [{"Type": "forward", "TargetGroupArn": group}]
    if isinstance(step, steps.CreateListener):
        asked: Any = {"Protocol": "TCP", "Port": step.port, "DefaultActions": actions, "Tags": _tags(wanted)}
        arn = _there(seen.balancer).arn
        answer = await aws.elb(lambda elb: elb.create_listener(LoadBalancerArn=arn, **asked))
        made = Listener(answer["Listeners"][0]["ListenerArn"], step.port, group)
        return replace(seen, listeners=(*seen.listeners, made))
    listener = next(one for one in seen.listeners if one.port == step.port)
    await aws.elb(lambda elb: elb.modify_listener(ListenerArn=listener.arn, DefaultActions=actions))
    others = tuple(one for one in seen.listeners if one.port != step.port)
    return replace(seen, listeners=(*others, replace(listener, group=group)))


async def _serve(
    aws: Aws, wanted: Exposure, seen: Seen, step: steps.CreateService | steps.RefreshService | steps.Allow
) -> Seen:
    balancer = _there(seen.balancer)
    if isinstance(step, steps.CreateService):
        tags = tagged("vpc-endpoint-service", {EXPOSE_TAG: wanted.name, "Name": wanted.name})
        answer = await aws.ec2(
            lambda ec2: ec2.create_vpc_endpoint_service_configuration(
                NetworkLoadBalancerArns=[balancer.arn], AcceptanceRequired=True, TagSpecifications=[tags]
            )
        )
        made = answer["ServiceConfiguration"]
        zones = frozenset(balancer.subnets)
        return replace(
            seen, service=Service(made["ServiceId"], made["ServiceName"], frozenset(), zones, frozenset({balancer.arn}))
        )
    service = _there(seen.service)
    if isinstance(step, steps.RefreshService):
        await aws.ec2(lambda ec2: ec2.modify_vpc_endpoint_service_configuration(ServiceId=service.id))
        return replace(seen, service=replace(service, zones=service.zones | balancer.subnets.keys()))
    principals = list(step.principals)
    try:
        await aws.ec2(
            lambda ec2: ec2.modify_vpc_endpoint_service_permissions(
                ServiceId=service.id, AddAllowedPrincipals=principals
            )
        )
    except AwsRefused as error:
        if error.code != "DuplicatePrincipal":
            raise
    return replace(seen, service=replace(service, principals=service.principals | set(principals)))


def _there(found: T | None) -> T:
    assert found is not None, "the plan makes it before it is used"
    return found


def _tags(wanted: Exposure) -> list[dict[str, str]]:
    return [{"Key": EXPOSE_TAG, "Value": wanted.name}]
