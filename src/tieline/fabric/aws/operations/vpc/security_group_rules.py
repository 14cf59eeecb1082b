"""EC2: the rules of security groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import msgspec

from tieline.base.cidr import network4, network6
from tieline.fabric.aws.operations.vpc.security_groups import NOT_FOUND, merged, named
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, listing, operation, pairs, tag_list
from tieline.fabric.core.records import Permission, SecurityGroup

NUMBERS = {"6": "tcp", "17": "udp", "1": "icmp", "-1": "-1"}
MESSAGES = range(-1, 256)  # types and codes of ICMP, -1 for all (RFC 792; EC2 API, IpPermission)
LIMIT = 60  # inbound or outbound rules in one group (AWS quota)


@operation("ec2", "DescribeSecurityGroupRules", "SecurityGroupRuleIds Filters MaxResults NextToken")
def describe_security_group_rules(call: Call) -> Answer:
    wanted = call.p.get("SecurityGroupRuleIds")
    rules = [
        Rule(id=p.id, owner=g.owner, tags=p.tags, group=g, permission=p)
        for g in call.mine(SecurityGroup)
        for p in g.permissions
    ]
    known = {rule.id for rule in rules}
    for id in wanted or []:
        if id not in known:
            raise AwsError("InvalidSecurityGroupRuleId.NotFound", f"The security group rule ID '{id}' does not exist")
    fields = {"group-id": lambda r: r.group.id, "security-group-rule-id": lambda r: r.id}
    chosen = [rule for rule in rules if not wanted or rule.id in wanted]
    return listing(call, chosen, fields, "SecurityGroupRules", _rule)


class Rule(msgspec.Struct, frozen=True):
    """A rule together with its group, so that it can be listed like a record."""

    id: str
    owner: str
    tags: dict[str, str]
    group: SecurityGroup
    permission: Permission


def _rule(rule: Rule) -> dict[str, Any]:
    p = rule.permission
    answer: dict[str, Any] = {
        "SecurityGroupRuleId": p.id,
        "GroupId": rule.group.id,
        "GroupOwnerId": rule.owner,
        "IsEgress": p.egress,
        "IpProtocol": p.protocol,
        "FromPort": p.from_port,
        "ToPort": p.to_port,
        "Tags": tag_list(p.tags),
    }
    optional = {"CidrIpv4": p.cidr, "CidrIpv6": p.cidr6, "Description": p.description}
    answer |= {key: value for key, value in optional.items() if value}
    if p.group:
        answer["ReferencedGroupInfo"] = {"GroupId": p.group, "UserId": p.group_owner}
    return answer


def _parsed(call: Call, egress: bool) -> list[Permission]:
    """The rules that a request asks for, either as IpPermissions or by the older single parameters."""
    items = list(call.p.get("IpPermissions", []))
    if call.p.get("CidrIp"):
        single = {k: call.p[k] for k in ("IpProtocol", "FromPort", "ToPort") if k in call.p}
        items.append(single | {"IpRanges": [{"CidrIp": call.p["CidrIp"]}]})
    tags: dict[str, str] = {}
    for specification in call.p.get("TagSpecifications", []):
        tags |= pairs(specification.get("Tags", []))
    return [p for item in items for p in _permissions(call, item, egress, tags)]


def _named(rules: list[Permission]) -> list[Permission]:
    """The rules of a request that must have some, each once."""
    if not rules:
        raise AwsError("MissingParameter", "The request must contain the parameter IpPermissions, with a rule.")
    if len({_content(p) for p in rules}) < len(rules):
        raise AwsError("InvalidParameterValue", "The same permission must not appear multiple times")
    return rules


def _permissions(call: Call, item: Mapping[str, Any], egress: bool, tags: dict[str, str]) -> Iterable[Permission]:
    protocol = str(item.get("IpProtocol", "-1")).lower()
    protocol = NUMBERS.get(protocol, protocol)
    if protocol not in NUMBERS.values():
        raise AwsError(
            "InvalidPermission.Malformed", f'Unsupported IP protocol "{protocol}": use tcp, udp, icmp or -1.'
        )
    first, last = (-1, -1) if protocol == "-1" else (item.get("FromPort", -1), item.get("ToPort", -1))
    if protocol in ("tcp", "udp") and not 0 <= first <= last <= 65535:
        raise AwsError("InvalidParameterValue", f"Invalid value for portRange: {first}-{last}. Use ports 0 to 65535.")
    if protocol == "icmp" and not (first in MESSAGES and last in MESSAGES and (first != -1 or last == -1)):
        message = (
            f"Invalid value for ICMP: type {first}, code {last}. Use -1 to 255; all types (-1) have all codes (-1)."
        )
        raise AwsError("InvalidParameterValue", message)
    if item.get("PrefixListIds"):
        raise AwsError("UnsupportedOperation", "tieline has no prefix lists. Name CIDR blocks or groups.")
    sources = list(_sources(call, item))
    if not sources:
        message = f"The rule for {protocol} names no source: give IpRanges, Ipv6Ranges or UserIdGroupPairs."
        raise AwsError("MissingParameter", message)
    for source in sources:
        text = source.pop("Description", None)
        yield Permission(
            id=call.ids.new("sgr"),
            egress=egress,
            protocol=protocol,
            from_port=first,
            to_port=last,
            description=text,
            tags=tags,
            **source,
        )


def _sources(call: Call, item: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for block in item.get("IpRanges", []):
        yield {"cidr": _cidr(network4, block.get("CidrIp")), "Description": block.get("Description")}
    for block in item.get("Ipv6Ranges", []):
        yield {"cidr6": _cidr(network6, block.get("CidrIpv6")), "Description": block.get("Description")}
    for pair in item.get("UserIdGroupPairs", []):
        group = call.find(SecurityGroup, pair.get("GroupId"), *NOT_FOUND)
        yield {"group": group.id, "group_owner": group.owner, "Description": pair.get("Description")}


def _cidr(read: Callable[..., IPv4Network | IPv6Network], text: str | None) -> str:
    try:
        return str(read(text or "", strict=False))
    except ValueError:
        raise AwsError("InvalidParameterValue", f"CIDR block {text} is malformed") from None


def _content(p: Permission) -> tuple[object, ...]:
    return (p.egress, p.protocol, p.from_port, p.to_port, p.cidr, p.cidr6, p.group)


def _authorize(call: Call, egress: bool) -> Answer:
    group = named(call)
    new = _named(_parsed(call, egress))
    present = {_content(p) for p in group.permissions}
    for p in new:
        if _content(p) in present:
            source = p.cidr or p.cidr6 or p.group
            ports = f"from port: {p.from_port}, to port: {p.to_port}"
            message = f'the specified rule "peer: {source}, {p.protocol}, {ports}, ALLOW" already exists'
            raise AwsError("InvalidPermission.Duplicate", message)
    if sum(p.egress == egress for p in (*group.permissions, *new)) > LIMIT:
        raise AwsError("RulesPerSecurityGroupLimitExceeded", f"A group can have {LIMIT} rules in each direction.")
    call.world.put(msgspec.structs.replace(group, permissions=(*group.permissions, *new)))
    rules = [Rule(p.id, group.owner, p.tags, group, p) for p in new]
    return {"Return": True, "SecurityGroupRules": [_rule(rule) for rule in rules]}


def _revoke(call: Call, egress: bool) -> Answer:
    group = named(call)
    ids = set(call.p.get("SecurityGroupRuleIds", []))
    contents = {_content(p) for p in _parsed(call, egress)}
    if not ids and not contents:
        raise AwsError("MissingParameter", "Name the rules by IpPermissions or by SecurityGroupRuleIds.")
    gone = [p for p in group.permissions if p.egress == egress and (p.id in ids or _content(p) in contents)]
    missing = len(ids) + len(contents) - len(gone)
    if missing > 0 and not (egress and contents):  # clients revoke the IPv6 default blindly: AWS answers unknown ones
        raise AwsError("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
    kept = tuple(p for p in group.permissions if p not in gone)
    call.world.put(msgspec.structs.replace(group, permissions=kept))
    unknown = (
        []
        if not missing
        else merged(p for p in _parsed(call, egress) if _content(p) not in {_content(g) for g in gone})
    )
    return {"Return": True, "UnknownIpPermissions": unknown}


RULE_PARAMETERS = "GroupId IpPermissions CidrIp IpProtocol FromPort ToPort "


@operation("ec2", "AuthorizeSecurityGroupIngress", RULE_PARAMETERS + "GroupName TagSpecifications")
def authorize_ingress(call: Call) -> Answer:
    return _authorize(call, egress=False)


@operation("ec2", "AuthorizeSecurityGroupEgress", RULE_PARAMETERS + "TagSpecifications")
def authorize_egress(call: Call) -> Answer:
    return _authorize(call, egress=True)


@operation("ec2", "RevokeSecurityGroupIngress", RULE_PARAMETERS + "GroupName SecurityGroupRuleIds")
def revoke_ingress(call: Call) -> Answer:
    return _revoke(call, egress=False)


@operation("ec2", "RevokeSecurityGroupEgress", RULE_PARAMETERS + "SecurityGroupRuleIds")
def revoke_egress(call: Call) -> Answer:
    return _revoke(call, egress=True)
