"""EC2: security groups."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import (
    Answer,
    Call,
    chosen_by_id,
    listing,
    operation,
    tag_list,
    tags_of,
)
from tieline.fabric.core.records import NetworkInterface, Permission, SecurityGroup, Vpc

NOT_FOUND = "InvalidGroup.NotFound", "The security group '{id}' does not exist"
PER_INTERFACE = 5  # groups of one network interface (AWS quota)
NAME = re.compile(r"[\w .\-:/()#,@\[\]+=&;{}!$*]{1,255}", re.ASCII)


def make_default_group(call: Call, vpc: str) -> SecurityGroup:
    """The group that every VPC is born with: members reach each other, and everything outward is allowed."""
    id = call.ids.new("sg")
    inward = Permission(id=call.ids.new("sgr"), egress=False, protocol="-1", group=id, group_owner=call.caller.account)
    return _make(call, id, vpc, "default", "default VPC security group", (inward,), {})


def _make(
    call: Call, id: str, vpc: str, name: str, text: str, more: tuple[Permission, ...], tags: dict[str, str]
) -> SecurityGroup:
    outward = Permission(id=call.ids.new("sgr"), egress=True, protocol="-1", cidr="0.0.0.0/0")
    group = SecurityGroup(
        id=id,
        owner=call.caller.account,
        vpc=vpc,
        name=name,
        description=text,
        permissions=(*more, outward),
        tags=tags,
    )
    return call.world.put(group)


def default_group(call: Call, vpc: str) -> str:
    """The id of a VPC's default group."""
    return next(g.id for g in call.world.where(SecurityGroup, "vpc", vpc) if g.name == "default")


def groups_for(call: Call, ids: Iterable[str], vpc: str) -> tuple[str, ...]:
    """The groups that a request names, each once, all in `vpc`; the VPC's default group where it names none."""
    found = [call.find(SecurityGroup, id, *NOT_FOUND) for id in dict.fromkeys(ids)]
    if len(found) > PER_INTERFACE:
        message = f"The maximum number of security groups per interface, {PER_INTERFACE}, has been reached."
        raise AwsError("SecurityGroupsPerInterfaceLimitExceeded", message)
    for group in found:
        if group.vpc != vpc:
            message = f"You have specified two resources that of different networks: {group.id} is in {group.vpc}."
            raise AwsError("InvalidParameter", message)
    return tuple(group.id for group in found) or (default_group(call, vpc),)


@operation("ec2", "CreateSecurityGroup", "GroupName Description VpcId TagSpecifications")
def create_security_group(call: Call) -> Answer:
    name, vpc_id = call.p["GroupName"], call.p.get("VpcId")
    if not vpc_id:
        raise AwsError("VPCIdNotSpecified", "No default VPC for this user. Give a VpcId.")
    vpc = call.find(Vpc, vpc_id, "InvalidVpcID.NotFound", "The vpc ID '{id}' does not exist")
    if not NAME.fullmatch(name) or name.startswith("sg-"):
        allowed = "letters, digits, spaces and ._-:/()#,@[]+=&;{}!$*, not beginning with sg-"
        message = f"Value ({name}) for parameter GroupName is invalid. Use {allowed}."
        raise AwsError("InvalidParameterValue", message)
    if name in [group.name for group in call.world.where(SecurityGroup, "vpc", vpc.id)]:
        raise AwsError("InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc.id}'")
    tags = tags_of(call, "security-group")
    group = _make(call, call.ids.new("sg"), vpc.id, name, call.p["Description"], (), tags)
    return {"GroupId": group.id, "Tags": tag_list(tags), "SecurityGroupArn": _arn(call, group)}


def _arn(call: Call, group: SecurityGroup) -> str:
    return call.arn("ec2", f"security-group/{group.id}")


@operation("ec2", "DeleteSecurityGroup", "GroupId GroupName")
def delete_security_group(call: Call) -> Answer:
    group = named(call)
    if group.name == "default":
        message = f'the specified group: "{group.id}" name: "default" cannot be deleted by a user'
        raise AwsError("CannotDelete", message)
    users = [i.id for i in call.world.where(NetworkInterface, "vpc", group.vpc) if group.id in i.groups]
    for other in call.world.where(SecurityGroup, "vpc", group.vpc):
        if other.id != group.id and any(p.group == group.id for p in other.permissions):
            users.append(other.id)
    if users:
        message = f"resource {group.id} has a dependent object: {', '.join(users[:5])}"
        raise AwsError("DependencyViolation", message)
    call.world.delete(group)
    return {"Return": True, "GroupId": group.id}


def named(call: Call) -> SecurityGroup:
    """The group that GroupId names. AWS takes GroupName only for a default VPC, which tieline does not have."""
    if not call.p.get("GroupId"):
        raise AwsError("MissingParameter", "The request must contain the parameter GroupId.")
    return call.find(SecurityGroup, call.p["GroupId"], *NOT_FOUND)


def render(call: Call, group: SecurityGroup) -> dict[str, Any]:
    return {
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": group.description,
        "VpcId": group.vpc,
        "OwnerId": group.owner,
        "SecurityGroupArn": _arn(call, group),
        "IpPermissions": merged(p for p in group.permissions if not p.egress),
        "IpPermissionsEgress": merged(p for p in group.permissions if p.egress),
        "Tags": tag_list(group.tags),
    }


def merged(permissions: Iterable[Permission]) -> list[dict[str, Any]]:
    """One item for each protocol and port range, with all its sources, as AWS shows them."""
    found: dict[tuple[str, int, int], dict[str, Any]] = {}
    for p in permissions:
        item = found.setdefault(
            (p.protocol, p.from_port, p.to_port),
            {"IpProtocol": p.protocol, "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": [], "UserIdGroupPairs": []},
        )
        if p.protocol != "-1":
            item |= {"FromPort": p.from_port, "ToPort": p.to_port}
        text = {"Description": p.description} if p.description else {}
        if p.cidr:
            item["IpRanges"].append({"CidrIp": p.cidr} | text)
        elif p.cidr6:
            item["Ipv6Ranges"].append({"CidrIpv6": p.cidr6} | text)
        else:
            item["UserIdGroupPairs"].append({"GroupId": p.group, "UserId": p.group_owner} | text)
    return list(found.values())


FIELDS = {
    "group-id": lambda g: g.id,
    "group-name": lambda g: g.name,
    "vpc-id": lambda g: g.vpc,
    "owner-id": lambda g: g.owner,
    "description": lambda g: g.description,
}
RULES = {
    "ip-permission.cidr": "IpRanges.CidrIp",
    "ip-permission.from-port": "FromPort",
    "ip-permission.group-id": "UserIdGroupPairs.GroupId",
    "ip-permission.ipv6-cidr": "Ipv6Ranges.CidrIpv6",
    "ip-permission.protocol": "IpProtocol",
    "ip-permission.to-port": "ToPort",
    "ip-permission.user-id": "UserIdGroupPairs.UserId",
}
SHOWN = {name: f"IpPermissions.{path}" for name, path in RULES.items()}
SHOWN |= {f"egress.{name}": f"IpPermissionsEgress.{path}" for name, path in RULES.items()}


@operation("ec2", "DescribeSecurityGroups", "GroupIds GroupNames Filters MaxResults NextToken")
def describe_security_groups(call: Call) -> Answer:
    chosen = chosen_by_id(call, SecurityGroup, "GroupIds", *NOT_FOUND)
    names = call.p.get("GroupNames", [])
    for name in names:
        if all(group.name != name for group in chosen):
            raise AwsError(NOT_FOUND[0], NOT_FOUND[1].format(id=name))
    chosen = [group for group in chosen if not names or group.name in names]
    return listing(call, chosen, FIELDS, "SecurityGroups", lambda g: render(call, g), SHOWN)
