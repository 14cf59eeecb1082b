"""ELBv2: target groups, their health checks and attributes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from tieline.fabric.aws.operations.elbv2.balancing import (
    attribute_list,
    chosen_by_arn,
    elb_page,
    elb_tags,
    merged_attributes,
    named,
)
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, asked, operation
from tieline.fabric.core import health
from tieline.fabric.core.records import Health, HealthCheck, Listener, TargetGroup, Vpc

NOT_FOUND = "TargetGroupNotFound", "One or more target groups not found"
PER_REGION = 3000  # target groups of an account (AWS quota)
NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,32}(?<!-)")
PATH = re.compile(r"/[!-~]{0,1023}")
TIMEOUTS = {"TCP": 10, "HTTPS": 10, "HTTP": 6}  # seconds (aws.md, section 3)
ATTRIBUTES = {  # every attribute that clients read, with AWS's defaults; those fixed here say so in FIXED
    "deregistration_delay.timeout_seconds": "300",
    "deregistration_delay.connection_termination.enabled": "false",
    "stickiness.enabled": "false",
    "stickiness.type": "source_ip",
    "proxy_protocol_v2.enabled": "false",
    "preserve_client_ip.enabled": "false",
    "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
    "target_health_state.unhealthy.connection_termination.enabled": "true",
    "target_health_state.unhealthy.draining_interval_seconds": "0",
    health.FAILOVER + "count": "1",
    health.FAILOVER + "percentage": "off",
    health.ROUTING + "count": "1",
    health.ROUTING + "percentage": "off",
}
BOOLEAN, PERCENTAGE = r"true|false", r"off|[1-9]\d?|100"
SECONDS = r"\d|[1-9]\d{1,2}|[12]\d{3}|3[0-5]\d{2}|3600"  # 0 to 3600
SETTABLE = {
    "deregistration_delay.timeout_seconds": SECONDS,
    "deregistration_delay.connection_termination.enabled": BOOLEAN,
    "stickiness.enabled": BOOLEAN,
    "proxy_protocol_v2.enabled": BOOLEAN,
    "load_balancing.cross_zone.enabled": BOOLEAN + "|use_load_balancer_configuration",
    "target_health_state.unhealthy.connection_termination.enabled": BOOLEAN,
    health.FAILOVER + "count": r"off|[1-9]\d{0,3}",
    health.FAILOVER + "percentage": PERCENTAGE,
    health.ROUTING + "count": r"[1-9]\d{0,3}",
    health.ROUTING + "percentage": PERCENTAGE,
}

CHECK = """HealthCheckProtocol HealthCheckPort HealthCheckEnabled HealthCheckPath HealthCheckIntervalSeconds
HealthCheckTimeoutSeconds HealthyThresholdCount UnhealthyThresholdCount Matcher"""
CREATE = "Name Protocol Port VpcId TargetType IpAddressType Tags " + CHECK


@operation("elbv2", "CreateTargetGroup", CREATE)
def create_target_group(call: Call) -> Answer:
    name = call.p["Name"]
    if not NAME.fullmatch(name):
        message = f"Target group name '{name}' must have 1 to 32 letters, digits or hyphens, and none at either end."
        raise AwsError("ValidationError", message)
    other = named(call, TargetGroup, name)
    if other is not None:
        if other.request == asked(call):
            return {"TargetGroups": [render(call, other)]}
        message = f"A target group with the same name '{name}' exists, but with different settings"
        raise AwsError("DuplicateTargetGroupName", message)
    if len(call.mine(TargetGroup)) >= PER_REGION:
        raise AwsError("TooManyTargetGroups", f"An account can have at most {PER_REGION} target groups.")
    kind, protocol, port = call.p.get("TargetType", "instance"), call.p.get("Protocol"), call.p.get("Port")
    _check_kind(kind, protocol, call.p.get("IpAddressType", "ipv4"))
    _check_port(port, "Port")
    vpc = call.find(Vpc, call.p.get("VpcId"), "ValidationError", "The VPC ID '{id}' is not found")
    group = call.world.put(
        TargetGroup(
            id=call.arn("elasticloadbalancing", f"targetgroup/{name}/{call.ids.hex(16)}"),
            owner=call.caller.account,
            tags=elb_tags(call),
            name=name,
            protocol=protocol or "TCP",
            port=port or 0,
            vpc=vpc.id,
            target_type=kind,
            check=_check(call.p, HealthCheck(), creating=True),
            attributes={},
            request=asked(call),
        )
    )
    return {"TargetGroups": [render(call, group)]}


def _check_kind(kind: str, protocol: str | None, address_type: str) -> None:
    if protocol not in ("TCP", "UDP", "TCP_UDP"):
        message = f"tieline's load balancers carry TCP, UDP and TCP_UDP, not {protocol}."
        raise AwsError("UnsupportedProtocol" if protocol else "ValidationError", message)
    if kind not in ("instance", "ip"):
        raise AwsError("ValidationError", f"tieline supports the target types instance and ip, not {kind}.")
    if address_type != "ipv4":
        raise AwsError("ValidationError", "tieline carries IPv4 only: give the address type ipv4.")


def _check_port(port: int | None, parameter: str) -> None:
    if port is None or not 1 <= port <= 65535:
        raise AwsError("ValidationError", f"{parameter} must be a number from 1 to 65535, not {port}.")


def _check(p: Mapping[str, Any], old: HealthCheck, *, creating: bool) -> HealthCheck:
    """The health check that a request describes, with AWS's ranges; members it leaves out stay as they are."""
    protocol = p.get("HealthCheckProtocol", old.protocol)
    if protocol not in TIMEOUTS:
        message = f"Health check protocol '{protocol}' must be one of TCP, HTTP, HTTPS."
        raise AwsError("ValidationError", message)
    port = p.get("HealthCheckPort", old.port)
    if port != "traffic-port" and not (port.isdecimal() and 1 <= int(port) <= 65535):
        raise AwsError("ValidationError", f"Health check port '{port}' must be 'traffic-port' or from 1 to 65535.")
    default = TIMEOUTS[protocol] if creating else old.timeout
    check = HealthCheck(
        protocol=protocol,
        port=port,
        interval=_within(p, "HealthCheckIntervalSeconds", old.interval, 5, 300),
        timeout=_within(p, "HealthCheckTimeoutSeconds", default, 2, 120),
        healthy=_within(p, "HealthyThresholdCount", old.healthy, 2, 10),
        unhealthy=_within(p, "UnhealthyThresholdCount", old.unhealthy, 2, 10),
        path=_path(p.get("HealthCheckPath", old.path)),
        matcher=_matcher(p.get("Matcher", {}).get("HttpCode", old.matcher)),
    )
    if p.get("HealthCheckEnabled") is False:
        raise AwsError("ValidationError", "Health checks cannot be disabled for targets of type instance or ip.")
    if protocol == "TCP" and ("HealthCheckPath" in p or "Matcher" in p):
        raise AwsError("ValidationError", "A path and a matcher belong to HTTP and HTTPS health checks, not to TCP.")
    return check


def _within(p: Mapping[str, Any], parameter: str, default: int, least: int, most: int) -> int:
    value: int = p.get(parameter, default)
    if not least <= value <= most:
        raise AwsError("ValidationError", f"{parameter} must be from {least} to {most}, not {value}.")
    return value


def _path(path: str) -> str:
    """It is sent as it is, in the first line of a request."""
    if not PATH.fullmatch(path):
        raise AwsError("ValidationError", f"Health check path '{path}' must begin with / and have visible ASCII only.")
    return path


def _matcher(codes: str) -> str:
    for part in codes.split(","):
        ends = part.split("-")
        if len(ends) > 2 or not all(end.isdecimal() and 200 <= int(end) <= 599 for end in ends):
            message = f"Matcher '{codes}' must be HTTP codes from 200 to 599, such as '200,204' or '200-399'."
            raise AwsError("ValidationError", message)
    return codes


def render(call: Call, group: TargetGroup) -> dict[str, Any]:
    check = group.check
    listeners = call.world.where(Listener, "group", group.id)
    answer: dict[str, Any] = {
        "TargetGroupArn": group.id,
        "TargetGroupName": group.name,
        "Protocol": group.protocol,
        "Port": group.port,
        "VpcId": group.vpc,
        "TargetType": group.target_type,
        "IpAddressType": "ipv4",
        "HealthCheckProtocol": check.protocol,
        "HealthCheckPort": check.port,
        "HealthCheckEnabled": check.enabled,
        "HealthCheckIntervalSeconds": check.interval,
        "HealthCheckTimeoutSeconds": check.timeout,
        "HealthyThresholdCount": check.healthy,
        "UnhealthyThresholdCount": check.unhealthy,
        "LoadBalancerArns": sorted({listener.balancer for listener in listeners}),
    }
    if check.protocol != "TCP":
        answer |= {"HealthCheckPath": check.path, "Matcher": {"HttpCode": check.matcher}}
    return answer


@operation("elbv2", "DescribeTargetGroups", "LoadBalancerArn TargetGroupArns Names Marker PageSize")
def describe_target_groups(call: Call) -> Answer:
    chosen = chosen_by_arn(call, TargetGroup, "TargetGroupArns", NOT_FOUND)
    balancer = call.p.get("LoadBalancerArn")
    if balancer:
        used = {listener.group for listener in call.world.where(Listener, "balancer", balancer)}
        chosen = [group for group in chosen if group.id in used]
    return elb_page(call, chosen, "TargetGroups", lambda g: render(call, g))


@operation("elbv2", "ModifyTargetGroup", "TargetGroupArn " + CHECK)
def modify_target_group(call: Call) -> Answer:
    group = find(call)
    group = call.world.put(msgspec.structs.replace(group, check=_check(call.p, group.check, creating=False)))
    return {"TargetGroups": [render(call, group)]}


@operation("elbv2", "DeleteTargetGroup", "TargetGroupArn")
def delete_target_group(call: Call) -> Answer:
    """Deleting one that does not exist succeeds, as on AWS."""
    group = call.world.get(TargetGroup, call.p["TargetGroupArn"])
    if group is None or group.owner != call.caller.account:
        return {}
    if call.world.where(Listener, "group", group.id):
        message = f"Target group '{group.id}' is currently in use by a listener or a rule"
        raise AwsError("ResourceInUse", message)
    for one in call.world.where(Health, "group", group.id):
        call.world.delete(one)
    call.world.delete(group)
    return {}


def find(call: Call) -> TargetGroup:
    """The caller's group that the request names."""
    return call.find(TargetGroup, call.p["TargetGroupArn"], *NOT_FOUND)


@operation("elbv2", "DescribeTargetGroupAttributes", "TargetGroupArn")
def describe_target_group_attributes(call: Call) -> Answer:
    return {"Attributes": attribute_list(ATTRIBUTES | find(call).attributes)}


@operation("elbv2", "ModifyTargetGroupAttributes", "TargetGroupArn Attributes")
def modify_target_group_attributes(call: Call) -> Answer:
    group = find(call)
    attributes = merged_attributes(call, group.attributes, ATTRIBUTES, SETTABLE)
    call.world.put(msgspec.structs.replace(group, attributes=attributes))
    return {"Attributes": attribute_list(ATTRIBUTES | attributes)}
