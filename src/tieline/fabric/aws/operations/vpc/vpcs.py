"""EC2: VPCs and their attributes."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import msgspec

from tieline.base.cidr import network4
from tieline.fabric.aws.operations.vpc.security_groups import make_default_group
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, chosen_by_id, listing, operation, tag_list, tags_of
from tieline.fabric.core.records import Endpoint, NetworkInterface, SecurityGroup, Subnet, Vpc
from tieline.fabric.core.world import World

NOT_FOUND = "InvalidVpcID.NotFound", "The vpc ID '{id}' does not exist"
RESERVED = {  # what no VPC may use (AWS, VPC CIDR blocks): a kernel routes none of it from host to host
    IPv4Network("0.0.0.0/8"): "this network's",
    IPv4Network("127.0.0.0/8"): "every host's own",
    IPv4Network("169.254.0.0/16"): "link-local",  # wires have theirs there
    IPv4Network("224.0.0.0/4"): "for multicast",
}


def network(text: str | None, parameter: str, shortest: int, longest: int, code: str) -> IPv4Network:
    """A CIDR block as a network, with AWS's limits on its size; host bits are dropped as AWS drops them."""
    try:
        found = network4(text or "", strict=False)
    except ValueError:
        message = f"Value ({text}) for parameter {parameter} is invalid. This is not a valid CIDR block."
        raise AwsError("InvalidParameterValue", message) from None
    if not shortest <= found.prefixlen <= longest:
        raise AwsError(code, f"The CIDR '{text}' is invalid. Use a block between /{shortest} and /{longest}.")
    return found


@operation("ec2", "CreateVpc", "CidrBlock InstanceTenancy TagSpecifications")
def create_vpc(call: Call) -> Answer:
    if call.p.get("InstanceTenancy", "default") != "default":
        raise AwsError("UnsupportedOperation", "Instances share this machine: the tenancy is always default.")
    block = network(call.p.get("CidrBlock"), "cidrBlock", 16, 28, "InvalidVpc.Range")
    for range, whose in RESERVED.items():
        if block.overlaps(range):
            raise AwsError("InvalidVpc.Range", f"The CIDR '{block}' is {whose} ({range}), which no VPC may use.")
    vpc = call.world.put(
        Vpc(
            id=call.ids.new("vpc"),
            owner=call.caller.account,
            tags=tags_of(call, "vpc"),
            cidr=str(block),
            default_acl=call.ids.new("acl"),
            main_route_table=call.ids.new("rtb"),
            dhcp_options="dopt-" + call.caller.account.rjust(17, "0"),
        )
    )
    make_default_group(call, vpc.id)
    return {"Vpc": render(vpc)}


def render(vpc: Vpc) -> dict[str, Any]:
    association = {"AssociationId": "vpc-cidr-assoc-" + vpc.id[4:], "CidrBlock": vpc.cidr}
    return {
        "VpcId": vpc.id,
        "OwnerId": vpc.owner,
        "CidrBlock": vpc.cidr,
        "State": "available",
        "InstanceTenancy": "default",
        "IsDefault": False,
        "DhcpOptionsId": vpc.dhcp_options,
        "CidrBlockAssociationSet": [association | {"CidrBlockState": {"State": "associated"}}],
        "Tags": tag_list(vpc.tags),
    }


FIELDS = {
    "vpc-id": lambda v: v.id,
    "cidr": lambda v: v.cidr,
    "cidr-block": lambda v: v.cidr,
    "cidrBlock": lambda v: v.cidr,
    "cidr-block-association.cidr-block": lambda v: v.cidr,
    "state": lambda _: "available",
    "owner-id": lambda v: v.owner,
    "is-default": lambda _: "false",
    "isDefault": lambda _: "false",
    "dhcp-options-id": lambda v: v.dhcp_options,
}
SHOWN = {
    "cidr-block-association.association-id": "CidrBlockAssociationSet.AssociationId",
    "cidr-block-association.state": "CidrBlockAssociationSet.CidrBlockState.State",
}


@operation("ec2", "DescribeVpcs", "VpcIds Filters MaxResults NextToken")
def describe_vpcs(call: Call) -> Answer:
    return listing(call, chosen_by_id(call, Vpc, "VpcIds", *NOT_FOUND), FIELDS, "Vpcs", render, SHOWN)


@operation("ec2", "DeleteVpc", "VpcId")
def delete_vpc(call: Call) -> Answer:
    vpc = call.find(Vpc, call.p["VpcId"], *NOT_FOUND)
    groups = call.world.where(SecurityGroup, "vpc", vpc.id)
    dependants = [*(g for g in groups if g.name != "default"), *_inhabitants(call.world, vpc.id)]
    if dependants:
        named = ", ".join(record.id for record in dependants[:5])
        raise AwsError(
            "DependencyViolation", f"The vpc '{vpc.id}' has dependencies and cannot be deleted. Delete first: {named}"
        )
    for group in groups:
        call.world.delete(group)
    call.world.delete(vpc)
    return {}


def _inhabitants(world: World, vpc: str) -> list[Any]:
    return [
        *world.where(Subnet, "vpc", vpc),
        *world.where(Endpoint, "vpc", vpc),
        *world.where(NetworkInterface, "vpc", vpc),
    ]


SWITCHES = {
    "enableDnsSupport": ("EnableDnsSupport", "dns_support"),
    "enableDnsHostnames": ("EnableDnsHostnames", "dns_hostnames"),
    "enableNetworkAddressUsageMetrics": ("EnableNetworkAddressUsageMetrics", "address_metrics"),
}


@operation("ec2", "DescribeVpcAttribute", "VpcId Attribute")
def describe_vpc_attribute(call: Call) -> Answer:
    vpc = call.find(Vpc, call.p["VpcId"], *NOT_FOUND)
    member, field = SWITCHES[call.p["Attribute"]]
    return {"VpcId": vpc.id, member: {"Value": getattr(vpc, field)}}


@operation("ec2", "ModifyVpcAttribute", "VpcId EnableDnsSupport EnableDnsHostnames EnableNetworkAddressUsageMetrics")
def modify_vpc_attribute(call: Call) -> Answer:
    vpc = call.find(Vpc, call.p["VpcId"], *NOT_FOUND)
    changes = {field: call.p[member]["Value"] for member, field in SWITCHES.values() if member in call.p}
    if len(changes) != 1:
        raise AwsError("InvalidParameterCombination", "Modify exactly one attribute in a call.")
    call.world.put(msgspec.structs.replace(vpc, **changes))
    return {}
