"""ELBv2: targets and their health, as the probes found it."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import msgspec

from tieline.fabric.aws.operations.elbv2.target_groups import find
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, operation
from tieline.fabric.core import health, zones
from tieline.fabric.core.records import (
    Health,
    Instance,
    Listener,
    LoadBalancer,
    NetworkInterface,
    Registration,
    Subnet,
    TargetGroup,
    Vpc,
)

PER_GROUP = 1000  # targets in a group (AWS quota)
PER_BALANCER = 3000  # targets of a network load balancer (AWS quota)
PER_ZONE = 500  # of these in one zone; in all zones together with cross-zone balancing (AWS quota)


@operation("elbv2", "RegisterTargets", "TargetGroupArn Targets")
def register_targets(call: Call) -> Answer:
    """Registering a target again changes nothing, unless it was draining: then it is back in service."""
    group = find(call)
    present = {(t.id, t.port): t for t in group.targets}
    for wanted in call.p["Targets"]:
        target = _registration(call, group, wanted)
        old = present.get((target.id, target.port))
        if old is None or old.draining is not None:
            present[target.id, target.port] = target
            _forget(call, group, target)
    if len(present) > PER_GROUP:
        raise AwsError("TooManyTargets", f"A target group can have at most {PER_GROUP} targets.")
    group = call.world.put(msgspec.structs.replace(group, targets=tuple(present.values())))
    check_quota(call, health.balancer_of(call.world, group))
    return {}


def check_quota(call: Call, used: tuple[LoadBalancer, list[Listener]] | None) -> None:
    """Raise TooManyTargets where a balancer's groups together have more targets than it may serve."""
    if used is None:
        return
    balancer, _ = used
    arns = {listener.group for listener in call.world.where(Listener, "balancer", balancer.id)}
    groups = [group for arn in arns if (group := call.world.get(TargetGroup, arn))]
    zones_of = Counter(target.zone for group in groups for target in group.targets)
    crossing = any(health.cross_zone(balancer, group) for group in groups)
    most = zones_of.total() if crossing else max(zones_of.values(), default=0)
    if most > PER_ZONE or zones_of.total() > PER_BALANCER:
        scope = "" if crossing else " in each zone"
        message = f"The load balancer '{balancer.id}' can have at most {PER_ZONE} targets{scope}."
        raise AwsError("TooManyTargets", message)


def _forget(call: Call, group: TargetGroup, target: Registration) -> None:
    old = call.world.get(Health, health.key(group.id, target.id, target.port))
    if old:
        call.world.delete(old)


def _registration(call: Call, group: TargetGroup, wanted: dict[str, Any]) -> Registration:
    id, port = wanted["Id"], wanted.get("Port", group.port)
    if not 1 <= port <= 65535:
        raise AwsError("ValidationError", f"Port must be a number from 1 to 65535, not {port}.")
    address, zone = _instance(call, group, id) if group.target_type == "instance" else _address(call, group, wanted)
    return Registration(id=id, port=port, address=address, zone=zone, registered=call.now)


def _instance(call: Call, group: TargetGroup, id: str) -> tuple[str, str]:
    message = "The following targets are not in a running state and cannot be registered: '{id}'"
    instance = call.find(Instance, id, "InvalidTarget", message)
    interface = call.world.get(NetworkInterface, instance.interface)
    if interface is None or instance.state not in ("pending", "running"):
        raise AwsError("InvalidTarget", message.format(id=id))
    if instance.vpc != group.vpc:
        raise AwsError("InvalidTarget", f"The instance '{id}' is not in the target group's VPC {group.vpc}.")
    return instance.address, interface.zone


def _address(call: Call, group: TargetGroup, wanted: dict[str, Any]) -> tuple[str, str]:
    """An address target's address and zone: its subnet's. Only addresses of the group's VPC can be reached here."""
    text = wanted["Id"]
    try:
        address = IPv4Address(text)
    except ValueError:
        raise AwsError("ValidationError", f"The IP address '{text}' is not a valid IPv4 address") from None
    vpc = call.world.get(Vpc, group.vpc)  # a target group does not keep its VPC from being deleted (AWS)
    if vpc is None:
        raise AwsError("InvalidTarget", f"The target group's VPC {group.vpc} is deleted: delete the group, too.")
    if address not in IPv4Network(vpc.cidr):
        message = (
            f"The IP address '{text}' is outside the VPC {vpc.id} ({vpc.cidr}): tieline routes to no other network."
        )
        if wanted.get("AvailabilityZone") is None:
            message = (
                "You must specify a valid Availability Zone or select 'all' for all enabled Availability zones, "
                f"since the IP address '{text}' is outside the VPC. tieline reaches addresses of {vpc.cidr} only."
            )
        raise AwsError("ValidationError", message)
    zone = _zone_of(call, vpc, address)
    given = wanted.get("AvailabilityZone")
    if given and zones.zone_id(call.account, call.region, given) != zone:
        message = (
            f"The IP address '{text}' is within the VPC, and cannot have its Availability Zone overridden to "
            f"'{given}' from '{zones.zone_name(call.account, call.region, zone)}'"
        )
        raise AwsError("ValidationError", message)
    return str(address), zone


def _zone_of(call: Call, vpc: Vpc, address: IPv4Address) -> str:
    for subnet in call.world.where(Subnet, "vpc", vpc.id):
        if address in IPv4Network(subnet.cidr):
            return subnet.zone
    message = f"The IP address '{address}' is not within any subnet of the VPC '{vpc.id}'"
    raise AwsError("ValidationError", message)


@operation("elbv2", "DeregisterTargets", "TargetGroupArn Targets")
def deregister_targets(call: Call) -> Answer:
    """A deregistered target drains for the group's delay and then disappears; an unknown one is ignored (AWS)."""
    group = find(call)
    gone = {(t["Id"], t.get("Port")) for t in call.p["Targets"]}
    targets = []
    for target in group.targets:
        if ((target.id, target.port) in gone or (target.id, None) in gone) and target.draining is None:
            target = msgspec.structs.replace(target, draining=call.now)
        targets.append(target)
    call.world.put(msgspec.structs.replace(group, targets=tuple(targets)))
    return {}


@operation("elbv2", "DescribeTargetHealth", "TargetGroupArn Targets")
def describe_target_health(call: Call) -> Answer:
    group = find(call)
    wanted = call.p.get("Targets")
    if not wanted:
        return {"TargetHealthDescriptions": [_describe(call, group, target) for target in group.targets]}
    found: list[dict[str, Any]] = []
    for each in wanted:
        matching = [t for t in group.targets if t.id == each["Id"] and each.get("Port", t.port) == t.port]
        found += [_describe(call, group, t) for t in matching] or [_unregistered(each, group)]
    return {"TargetHealthDescriptions": found}


def _unregistered(wanted: dict[str, Any], group: TargetGroup) -> dict[str, Any]:
    reason = "Target.NotRegistered"
    target = {"Id": wanted["Id"], "Port": wanted.get("Port", group.port)}
    return {"Target": target, "TargetHealth": _health("unused", reason, health.DESCRIPTIONS[reason])}


def _health(state: str, reason: str, description: str) -> dict[str, Any]:
    return {"State": state} | ({"Reason": reason, "Description": description} if reason else {})


def _describe(call: Call, group: TargetGroup, target: Registration) -> dict[str, Any]:
    shown: dict[str, Any] = {"Id": target.id, "Port": target.port}
    if group.target_type == "ip":
        shown["AvailabilityZone"] = zones.zone_name(call.account, call.region, target.zone)
    check_port = str(target.port) if group.check.port == "traffic-port" else group.check.port
    return {"Target": shown, "HealthCheckPort": check_port, "TargetHealth": _target_health(call, group, target)}


def _target_health(call: Call, group: TargetGroup, target: Registration) -> dict[str, Any]:
    if target.draining is not None:
        reason = "Target.DeregistrationInProgress"
        return _health("draining", reason, health.DESCRIPTIONS[reason])
    idle = health.in_use(call.world, group, target)
    if idle:
        return _health("unused", *idle)
    found = health.health_of(call.world, group, target, call.now)
    description = health.DESCRIPTIONS.get(found.reason, "")
    if found.cause and found.reason:
        description += f": {found.cause}"
    return _health(found.state, found.reason, description)


def used_by(call: Call, group: TargetGroup) -> LoadBalancer | None:
    """The balancer that a group belongs to; a network load balancer's group belongs to one only."""
    used = health.balancer_of(call.world, group)
    return used[0] if used else None
