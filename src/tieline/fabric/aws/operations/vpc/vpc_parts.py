"""EC2: what every VPC is born with, its access list and its route table; and prefix lists, of which there are none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, listing, operation
from tieline.fabric.core.records import EndpointService, Subnet, Vpc

ENTRIES = {
    "association.association-id": "Associations.NetworkAclAssociationId",
    "association.network-acl-id": "Associations.NetworkAclId",
    "entry.cidr": "Entries.CidrBlock",
    "entry.egress": "Entries.Egress",
    "entry.protocol": "Entries.Protocol",
    "entry.rule-action": "Entries.RuleAction",
    "entry.rule-number": "Entries.RuleNumber",
}


@operation("ec2", "DescribeNetworkAcls", "NetworkAclIds Filters MaxResults NextToken")
def describe_network_acls(call: Call) -> Answer:
    fields = {
        "default": lambda _: "true",
        "vpc-id": lambda v: v.id,
        "network-acl-id": lambda v: v.default_acl,
        "owner-id": lambda v: v.owner,
        "association.subnet-id": lambda v: [s.id for s in call.world.where(Subnet, "vpc", v.id)],
    }
    missing = "InvalidNetworkAclID.NotFound", "The networkAcl ID '{id}' does not exist"
    vpcs = _having(call, "NetworkAclIds", lambda v: v.default_acl, *missing)
    return listing(call, vpcs, fields, "NetworkAcls", lambda v: _acl(call, v), ENTRIES)


def _having(call: Call, parameter: str, part: Callable[[Vpc], str], code: str, message: str) -> list[Vpc]:
    """The caller's VPCs whose part a request names, or all; raises for the first id that none of them has."""
    mine = {part(vpc): vpc for vpc in call.mine(Vpc)}
    for id in call.p.get(parameter, []):
        if id not in mine:
            raise AwsError(code, message.format(id=id))
    return [mine[id] for id in dict.fromkeys(call.p.get(parameter) or mine)]


def _acl(call: Call, vpc: Vpc) -> dict[str, Any]:
    def entry(number: int, action: str, egress: bool) -> dict[str, Any]:
        return {
            "RuleNumber": number,
            "Protocol": "-1",
            "RuleAction": action,
            "Egress": egress,
            "CidrBlock": "0.0.0.0/0",
        }

    rules = ((100, "allow"), (32767, "deny"))
    return {
        "NetworkAclId": vpc.default_acl,
        "VpcId": vpc.id,
        "OwnerId": vpc.owner,
        "IsDefault": True,
        "Entries": [entry(number, action, egress) for egress in (True, False) for number, action in rules],
        "Associations": [
            {
                "NetworkAclAssociationId": "aclassoc-" + s.id[7:],
                "NetworkAclId": vpc.default_acl,
                "SubnetId": s.id,
            }
            for s in call.world.where(Subnet, "vpc", vpc.id)
        ],
        "Tags": [],
    }


ROUTES = {
    "association.route-table-association-id": "Associations.RouteTableAssociationId",
    "route.destination-cidr-block": "Routes.DestinationCidrBlock",
    "route.gateway-id": "Routes.GatewayId",
    "route.origin": "Routes.Origin",
    "route.state": "Routes.State",
}


@operation("ec2", "DescribeRouteTables", "RouteTableIds Filters MaxResults NextToken")
def describe_route_tables(call: Call) -> Answer:
    fields = {
        "association.main": lambda _: "true",
        "vpc-id": lambda v: v.id,
        "route-table-id": lambda v: v.main_route_table,
        "association.route-table-id": lambda v: v.main_route_table,
        "association.subnet-id": lambda _: [],  # subnets follow the main table implicitly
        "owner-id": lambda v: v.owner,
    }
    missing = "InvalidRouteTableID.NotFound", "The routeTable ID '{id}' does not exist"
    vpcs = _having(call, "RouteTableIds", lambda v: v.main_route_table, *missing)
    return listing(call, vpcs, fields, "RouteTables", _route_table, ROUTES)


def _route_table(vpc: Vpc) -> dict[str, Any]:
    association = {
        "Main": True,
        "RouteTableAssociationId": "rtbassoc-" + vpc.id[4:],
        "RouteTableId": vpc.main_route_table,
        "AssociationState": {"State": "associated"},
    }
    route = {
        "DestinationCidrBlock": vpc.cidr,
        "GatewayId": "local",
        "Origin": "CreateRouteTable",
        "State": "active",
    }
    return {
        "RouteTableId": vpc.main_route_table,
        "VpcId": vpc.id,
        "OwnerId": vpc.owner,
        "Associations": [association],
        "Routes": [route],
        "PropagatingVgws": [],
        "Tags": [],
    }


@operation("ec2", "DescribePrefixLists", "PrefixListIds Filters MaxResults NextToken")
def describe_prefix_lists(call: Call) -> Answer:
    """Prefix lists belong to gateway endpoints, which tieline does not have: there are none."""
    fields: dict[str, Any] = {"prefix-list-id": lambda _: "", "prefix-list-name": lambda _: ""}
    for id in call.p.get("PrefixListIds", []):
        raise AwsError("InvalidPrefixListID.NotFound", f"The prefix list ID '{id}' does not exist")
    none: list[EndpointService] = []
    return listing(call, none, fields, "PrefixLists", lambda _: {})
