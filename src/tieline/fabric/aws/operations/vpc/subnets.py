"""EC2: subnets, each in one zone of its VPC."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import msgspec

from tieline.fabric.aws.operations.vpc import vpcs
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, chosen_by_id, listing, operation, tag_list, tags_of
from tieline.fabric.core import addresses, zones
from tieline.fabric.core.records import NetworkInterface, Subnet, Vpc

NOT_FOUND = "InvalidSubnetID.NotFound", "The subnet ID '{id}' does not exist"


@operation("ec2", "CreateSubnet", "VpcId CidrBlock AvailabilityZone AvailabilityZoneId TagSpecifications")
def create_subnet(call: Call) -> Answer:
    vpc = call.find(Vpc, call.p["VpcId"], *vpcs.NOT_FOUND)
    block = vpcs.network(call.p.get("CidrBlock"), "cidrBlock", 16, 28, "InvalidSubnet.Range")
    if not block.subnet_of(IPv4Network(vpc.cidr)):
        raise AwsError("InvalidSubnet.Range", f"The CIDR '{block}' is invalid. It is not inside the VPC's {vpc.cidr}.")
    for other in call.world.where(Subnet, "vpc", vpc.id):
        if IPv4Network(other.cidr).overlaps(block):
            message = f"The CIDR '{block}' conflicts with another subnet: {other.id} has {other.cidr}."
            raise AwsError("InvalidSubnet.Conflict", message)
    subnet = call.world.put(
        Subnet(
            id=call.ids.new("subnet"),
            owner=call.caller.account,
            tags=tags_of(call, "subnet"),
            vpc=vpc.id,
            cidr=str(block),
            zone=_zone(call),
        )
    )
    return {"Subnet": render(call, subnet)}


def _zone(call: Call) -> str:
    """The zone id that was asked for by id or by this account's name; AWS picks one where none is given."""
    name, id = call.p.get("AvailabilityZone"), call.p.get("AvailabilityZoneId")
    if name and id:
        raise AwsError("InvalidParameterCombination", "Give AvailabilityZone or AvailabilityZoneId, not both.")
    found = zones.zone_id(call.account, call.region, name) if name else (id or call.account.zones[0])
    if found not in call.account.zones:
        message = f"Value ({name or id}) for parameter availabilityZone is invalid. Subnets can be created in: "
        ids = ", ".join(sorted(f"{zones.zone_name(call.account, call.region, z)} ({z})" for z in call.account.zones))
        raise AwsError("InvalidParameterValue", message + ids)
    return found


def render(call: Call, subnet: Subnet) -> dict[str, Any]:
    used = len(call.world.where(NetworkInterface, "subnet", subnet.id))
    return {
        "SubnetId": subnet.id,
        "SubnetArn": call.arn("ec2", f"subnet/{subnet.id}"),
        "OwnerId": subnet.owner,
        "VpcId": subnet.vpc,
        "CidrBlock": subnet.cidr,
        "State": "available",
        "AvailabilityZone": zones.zone_name(call.account, call.region, subnet.zone),
        "AvailabilityZoneId": subnet.zone,
        "AvailableIpAddressCount": addresses.available(subnet.cidr, used),
        "DefaultForAz": False,
        "MapPublicIpOnLaunch": subnet.public_ip_on_launch,
        "MapCustomerOwnedIpOnLaunch": False,
        "AssignIpv6AddressOnCreation": False,
        "EnableDns64": False,
        "Ipv6Native": False,
        "Ipv6CidrBlockAssociationSet": [],
        "PrivateDnsNameOptionsOnLaunch": {
            "HostnameType": "ip-name",
            "EnableResourceNameDnsARecord": False,
            "EnableResourceNameDnsAAAARecord": False,
        },
        "Tags": tag_list(subnet.tags),
    }


@operation("ec2", "DescribeSubnets", "SubnetIds Filters MaxResults NextToken")
def describe_subnets(call: Call) -> Answer:
    fields = {
        "subnet-id": lambda s: s.id,
        "vpc-id": lambda s: s.vpc,
        "cidr": lambda s: s.cidr,
        "cidr-block": lambda s: s.cidr,
        "cidrBlock": lambda s: s.cidr,
        "state": lambda _: "available",
        "owner-id": lambda s: s.owner,
        "availability-zone": lambda s: zones.zone_name(call.account, call.region, s.zone),
        "availabilityZone": lambda s: zones.zone_name(call.account, call.region, s.zone),
        "availability-zone-id": lambda s: s.zone,
        "availabilityZoneId": lambda s: s.zone,
        "default-for-az": lambda _: "false",
        "map-public-ip-on-launch": lambda s: "true" if s.public_ip_on_launch else "false",
    }
    chosen = chosen_by_id(call, Subnet, "SubnetIds", *NOT_FOUND)
    return listing(call, chosen, fields, "Subnets", lambda s: render(call, s))


@operation("ec2", "ModifySubnetAttribute", "SubnetId MapPublicIpOnLaunch")
def modify_subnet_attribute(call: Call) -> Answer:
    """MapPublicIpOnLaunch is kept as a record only: nothing on this fabric has a public address."""
    subnet = call.find(Subnet, call.p["SubnetId"], *NOT_FOUND)
    if "MapPublicIpOnLaunch" in call.p:
        wanted = call.p["MapPublicIpOnLaunch"]["Value"]
        call.world.put(msgspec.structs.replace(subnet, public_ip_on_launch=wanted))
    return {}


@operation("ec2", "DeleteSubnet", "SubnetId")
def delete_subnet(call: Call) -> Answer:
    subnet = call.find(Subnet, call.p["SubnetId"], *NOT_FOUND)
    used = call.world.where(NetworkInterface, "subnet", subnet.id)
    if used:
        named = ", ".join(f"{i.id} ({i.description or i.holder})" for i in used[:5])
        message = f"The subnet '{subnet.id}' has dependencies and cannot be deleted. In use by: {named}"
        raise AwsError("DependencyViolation", message)
    call.world.delete(subnet)
    return {}
