"""ELBv2: a load balancer's attributes, subnets, security groups and address type; the account's limits."""

from __future__ import annotations

import msgspec

from tieline.fabric.aws.operations.elbv2 import listeners, target_groups, targets
from tieline.fabric.aws.operations.elbv2.balancers import PER_REGION, find, mappings, place, render, security_groups
from tieline.fabric.aws.operations.elbv2.balancing import attribute_list, merged_attributes
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, operation
from tieline.fabric.aws.service.pages import elb_page
from tieline.fabric.core.records import Endpoint, NetworkInterface

ATTRIBUTES = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "load_balancing.cross_zone.enabled": "false",
    "dns_record.client_routing_policy": "any_availability_zone",
    "ipv6.deny_all_igw_traffic": "false",
    "zonal_shift.config.enabled": "false",
    "secondary_ips.auto_assigned.per_subnet": "0",
}
BOOLEAN = r"true|false"
SETTABLE = {"deletion_protection.enabled": BOOLEAN, "load_balancing.cross_zone.enabled": BOOLEAN}


@operation("elbv2", "DescribeLoadBalancerAttributes", "LoadBalancerArn")
def describe_load_balancer_attributes(call: Call) -> Answer:
    return {"Attributes": attribute_list(ATTRIBUTES | find(call).attributes)}


@operation("elbv2", "ModifyLoadBalancerAttributes", "LoadBalancerArn Attributes")
def modify_load_balancer_attributes(call: Call) -> Answer:
    balancer = find(call)
    attributes = merged_attributes(call, balancer.attributes, ATTRIBUTES, SETTABLE)
    call.world.put(msgspec.structs.replace(balancer, attributes=attributes))
    return {"Attributes": attribute_list(ATTRIBUTES | attributes)}


@operation("elbv2", "SetSubnets", "LoadBalancerArn Subnets SubnetMappings IpAddressType")
def set_subnets(call: Call) -> Answer:
    """Replaces the set of subnets; a zone that carries an endpoint stays."""
    balancer = find(call)
    _check_address_type(call)
    wanted = mappings(call)
    if any(subnet.vpc != balancer.vpc for subnet, _ in wanted):
        raise AwsError("InvalidSubnet", f"The subnets must be in the load balancer's VPC {balancer.vpc}.")
    present = {placement.subnet: placement for placement in balancer.placements}
    lost = {p.zone for p in balancer.placements} - {subnet.zone for subnet, _ in wanted}
    carried = {d.zone for e in call.world.all(Endpoint) for d in e.doors if d.balancer == balancer.id}
    if lost & carried:
        message = f"Endpoints are connected in {', '.join(sorted(lost & carried))}, which the new subnets leave out."
        raise AwsError("InvalidConfigurationRequest", message)
    for subnet, address in wanted:
        if address and subnet.id in present and address != present[subnet.id].address:
            message = f"The load balancer has the address {present[subnet.id].address} in {subnet.id}, and keeps it."
            raise AwsError("InvalidConfigurationRequest", message)
    kept = {subnet.id for subnet, _ in wanted}
    for placement in balancer.placements:
        gone = call.world.get(NetworkInterface, placement.interface)
        if placement.subnet not in kept and gone:
            call.world.delete(gone)
    placements = tuple(
        present.get(subnet.id) or place(call, balancer.id, subnet, address, balancer.groups)
        for subnet, address in wanted
    )
    balancer = call.world.put(msgspec.structs.replace(balancer, placements=placements))
    return {"AvailabilityZones": render(call, balancer)["AvailabilityZones"], "IpAddressType": "ipv4"}


def _check_address_type(call: Call) -> None:
    if call.p.get("IpAddressType", "ipv4") != "ipv4":
        raise AwsError("InvalidConfigurationRequest", "tieline carries IPv4 only: give the address type ipv4.")


@operation("elbv2", "SetIpAddressType", "LoadBalancerArn IpAddressType")
def set_ip_address_type(call: Call) -> Answer:
    find(call)
    _check_address_type(call)
    return {"IpAddressType": "ipv4"}


@operation(
    "elbv2",
    "SetSecurityGroups",
    "LoadBalancerArn SecurityGroups EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic",
)
def set_security_groups(call: Call) -> Answer:
    balancer = find(call)
    if not balancer.groups:
        message = "Security groups can only be set for a network load balancer that was created with some."
        raise AwsError("InvalidConfigurationRequest", message)
    groups = security_groups(call, call.p["SecurityGroups"], balancer.vpc)
    if not groups:
        raise AwsError("InvalidConfigurationRequest", "A load balancer that has security groups keeps at least one.")
    on = balancer.groups_on_private_link
    wanted = call.p.get("EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic", "on" if on else "off")
    for interface in call.world.where(NetworkInterface, "holder", balancer.id):
        call.world.put(msgspec.structs.replace(interface, groups=groups))
    call.world.put(msgspec.structs.replace(balancer, groups=groups, groups_on_private_link=wanted == "on"))
    return {"SecurityGroupIds": list(groups), "EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic": wanted}


@operation("elbv2", "DescribeCapacityReservation", "LoadBalancerArn")
def describe_capacity_reservation(call: Call) -> Answer:
    """Nothing is reserved here: capacity is the machine's."""
    find(call)
    return {"CapacityReservationState": []}


class Limit(msgspec.Struct, frozen=True):
    """One quota, so that it can be listed like a record."""

    id: str
    most: int


LIMITS = (
    Limit("network-load-balancers", PER_REGION),
    Limit("listeners-per-network-load-balancer", listeners.PER_BALANCER),
    Limit("target-groups", target_groups.PER_REGION),
    Limit("targets-per-target-group", targets.PER_GROUP),
    Limit("targets-per-network-load-balancer", targets.PER_BALANCER),
    Limit("targets-per-availability-zone-per-network-load-balancer", targets.PER_ZONE),
)


@operation("elbv2", "DescribeAccountLimits", "Marker PageSize")
def describe_account_limits(call: Call) -> Answer:
    shown, marker = elb_page(LIMITS, call.p.get("PageSize"), call.p.get("Marker"), context="Limits")
    answer: Answer = {"Limits": [{"Name": limit.id, "Max": str(limit.most)} for limit in shown]}
    return answer | ({"NextMarker": marker} if marker else {})
