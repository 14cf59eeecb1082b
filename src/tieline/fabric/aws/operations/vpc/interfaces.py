"""EC2: network interfaces, which instances, endpoints and load balancers have; and how they get an address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, chosen_by_id, listing, operation, tag_list
from tieline.fabric.core import addresses, names, zones
from tieline.fabric.core.records import NetworkInterface, SecurityGroup, Subnet

NOT_FOUND = "InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '{id}' does not exist"
REQUESTERS = {"network_load_balancer": "amazon-elb", "vpc_endpoint": "amazon-aws"}


def attach(call: Call, subnet: Subnet, *, purpose: str, holder: str, **more: Any) -> NetworkInterface:
    """Make an interface in a subnet: at `address` if given, else at the first free one. Raises when there is none."""
    used = {interface.address for interface in call.world.where(NetworkInterface, "subnet", subnet.id)}
    wanted = more.pop("address", None)
    address = _check(subnet, wanted, used) if wanted else addresses.next_free(subnet.cidr, used)
    if address is None:
        message = f"There are not enough free addresses in subnet '{subnet.id}' to satisfy the request."
        raise AwsError("InsufficientFreeAddressesInSubnet", message)
    return call.world.put(
        NetworkInterface(
            id=call.ids.new("eni"),
            owner=subnet.owner,
            vpc=subnet.vpc,
            subnet=subnet.id,
            zone=subnet.zone,
            address=address,
            mac=call.ids.mac(),
            purpose=purpose,
            holder=holder,
            attachment=call.ids.new("eni-attach"),
            created=call.now,
            **more,
        )
    )


def _check(subnet: Subnet, wanted: str, used: set[str]) -> str:
    try:
        address = IPv4Address(wanted)
    except ValueError:
        raise AwsError("InvalidParameterValue", f"Value ({wanted}) is not an IPv4 address.") from None
    network = IPv4Network(subnet.cidr)
    reserved = {*(network[n] for n in range(4)), network[-1]}
    if address not in network or address in reserved:
        message = f"Address {wanted} is not in the assignable range of subnet '{subnet.id}' ({subnet.cidr})."
        raise AwsError("InvalidParameterValue", message)
    if wanted in used:
        raise AwsError("InvalidIPAddress.InUse", f"Address {wanted} is in use.")
    return wanted


def detach(call: Call, holder: str) -> None:
    """Remove the interfaces of an instance, endpoint or load balancer."""
    for interface in call.world.where(NetworkInterface, "holder", holder):
        call.world.delete(interface)


def render(call: Call, interface: NetworkInterface) -> dict[str, Any]:
    requester = REQUESTERS.get(interface.purpose)
    dns = f"{names.host_name(interface.address)}.{names.private_domain(call.region)}"
    groups = [group for id in interface.groups if (group := call.world.get(SecurityGroup, id))]
    answer: dict[str, Any] = {
        "NetworkInterfaceId": interface.id,
        "OwnerId": interface.owner,
        "VpcId": interface.vpc,
        "SubnetId": interface.subnet,
        "AvailabilityZone": zones.zone_name(call.account_of(interface.owner), call.region, interface.zone),
        "AvailabilityZoneId": interface.zone,
        "PrivateIpAddress": interface.address,
        "PrivateDnsName": dns,
        "PrivateIpAddresses": [{"PrivateIpAddress": interface.address, "Primary": True, "PrivateDnsName": dns}],
        "MacAddress": interface.mac,
        "InterfaceType": interface.purpose,
        "Description": interface.description,
        "Status": _status(interface),
        "RequesterManaged": requester is not None,
        "SourceDestCheck": True,
        "Groups": [{"GroupId": group.id, "GroupName": group.name} for group in groups],
        "TagSet": tag_list(interface.tags),
        "Attachment": {
            "AttachmentId": interface.attachment,
            "AttachTime": interface.created,
            "DeviceIndex": 1 if requester else 0,
            "Status": "attached",
            "DeleteOnTermination": requester is None,
            "InstanceOwnerId": requester or interface.owner,
        },
    }
    if requester:
        answer["RequesterId"] = requester
    elif not interface.holder:
        del answer["Attachment"]
    else:
        answer["Attachment"]["InstanceId"] = interface.holder
    return answer


def _status(interface: NetworkInterface) -> str:
    return "in-use" if interface.holder else "available"


FIELDS = {
    "network-interface-id": lambda i: i.id,
    "vpc-id": lambda i: i.vpc,
    "subnet-id": lambda i: i.subnet,
    "owner-id": lambda i: i.owner,
    "description": lambda i: i.description,
    "private-ip-address": lambda i: i.address,
    "addresses.private-ip-address": lambda i: i.address,
    "mac-address": lambda i: i.mac,
    "status": lambda i: _status(i),
    "interface-type": lambda i: i.purpose,
    "group-id": lambda i: list(i.groups),
    "requester-managed": lambda i: "true" if i.purpose in REQUESTERS else "false",
    "attachment.instance-owner-id": lambda i: REQUESTERS.get(i.purpose, i.owner),
    "attachment.instance-id": lambda i: (i.holder or None) if i.purpose == "interface" else None,
    "attachment.attachment-id": lambda i: i.attachment,
    "attachment.status": lambda i: "attached" if i.holder else None,
}
SHOWN = {
    "addresses.primary": "PrivateIpAddresses.Primary",
    "attachment.delete-on-termination": "Attachment.DeleteOnTermination",
    "attachment.device-index": "Attachment.DeviceIndex",
    "group-name": "Groups.GroupName",
    "private-dns-name": "PrivateDnsName",
    "requester-id": "RequesterId",
    "source-dest-check": "SourceDestCheck",
}


@operation("ec2", "DescribeNetworkInterfaces", "NetworkInterfaceIds Filters MaxResults NextToken")
def describe_network_interfaces(call: Call) -> Answer:
    zone = {
        "availability-zone": lambda i: zones.zone_name(call.account, call.region, i.zone),
        "availability-zone-id": lambda i: i.zone,
    }
    chosen = chosen_by_id(call, NetworkInterface, "NetworkInterfaceIds", *NOT_FOUND)
    return listing(call, chosen, FIELDS | zone, "NetworkInterfaces", lambda i: render(call, i), SHOWN)
