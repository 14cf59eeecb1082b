"""ELBv2: network load balancers."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tieline.fabric import zones
from tieline.fabric.aws.errors import AwsError
from tieline.fabric.aws.operations import interfaces
from tieline.fabric.aws.operations.balancing import (
    attribute_list,
    chosen_by_arn,
    elb_page,
    elb_tags,
    merged_attributes,
)
from tieline.fabric.aws.operations.calls import Answer, Call, asked, operation
from tieline.fabric.records import (
    Endpoint,
    EndpointService,
    Listener,
    LoadBalancer,
    NetworkInterface,
    Placement,
    Subnet,
)

NOT_FOUND = "LoadBalancerNotFound", "Load balancers '[{id}]' not found"
NAME = re.compile(r"(?!-|internal-)[A-Za-z0-9-]{1,32}(?<!-)")
HOSTED_ZONE = "Z26RNL4JYFTOTI"  # AWS's hosted zone of network load balancers in us-east-1
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

CREATE = "Name Subnets SubnetMappings Scheme Tags Type IpAddressType"


@operation("elbv2", "CreateLoadBalancer", CREATE)
def create_load_balancer(call: Call) -> Answer:
    name = call.p["Name"]
    if not NAME.fullmatch(name):
        message = f"Load balancer name '{name}' must have 1 to 32 letters, digits or hyphens, and none at either end."
        raise AwsError("ValidationError", message)
    for other in call.mine(LoadBalancer):
        if other.name == name:
            if other.request == asked(call):
                return {"LoadBalancers": [render(call, other)]}
            message = f"A load balancer with the same name '{name}' exists, but with different settings"
            raise AwsError("DuplicateLoadBalancerName", message)
    _check_kind(call)
    wanted = _mappings(call)
    id = call.ids.hex(16)
    arn = call.arn("elasticloadbalancing", f"loadbalancer/net/{name}/{id}")
    subnets = [subnet for subnet, _ in wanted]
    balancer = call.world.put(
        LoadBalancer(
            id=arn,
            owner=call.caller.account,
            tags=elb_tags(call),
            name=name,
            vpc=subnets[0].vpc,
            scheme="internal",
            dns_name=f"{name}-{id}.elb.{call.region}.amazonaws.com",
            placements=tuple(_place(call, arn, name, id, subnet, address) for subnet, address in wanted),
            created=call.now,
            request=asked(call),
        )
    )
    return {"LoadBalancers": [render(call, balancer)]}


def _check_kind(call: Call) -> None:
    kind, scheme = call.p.get("Type", "application"), call.p.get("Scheme", "internet-facing")  # AWS's defaults
    if kind != "network":
        raise AwsError(
            "ValidationError", f"tieline makes network load balancers only, not {kind}. Set Type to network."
        )
    if scheme != "internal":
        message = f"Load balancers here have no public side: not {scheme}. Set Scheme to internal."
        raise AwsError("ValidationError", message)
    if call.p.get("IpAddressType", "ipv4") != "ipv4":
        raise AwsError("ValidationError", "tieline carries IPv4 only: give the address type ipv4.")


def _mappings(call: Call) -> list[tuple[Subnet, str | None]]:
    """The subnets that a request names, each with the fixed address it may ask for: one VPC, one subnet a zone."""
    if bool(call.p.get("Subnets")) == bool(call.p.get("SubnetMappings")):
        raise AwsError("ValidationError", "Give the subnets either as Subnets or as SubnetMappings.")
    pairs: list[tuple[Any, str | None]] = [(id, None) for id in call.p.get("Subnets", [])]
    for mapping in call.p.get("SubnetMappings", []):
        if mapping.get("AllocationId") or mapping.get("IPv6Address"):
            raise AwsError("ValidationError", "An internal IPv4 load balancer takes a PrivateIPv4Address only.")
        pairs.append((mapping.get("SubnetId"), mapping.get("PrivateIPv4Address")))
    found = [(call.find(Subnet, id, "SubnetNotFound", "The subnet ID '{id}' does not exist"), a) for id, a in pairs]
    if len({subnet.vpc for subnet, _ in found}) > 1:
        raise AwsError("InvalidSubnet", "All subnets of a load balancer must be in the same VPC.")
    if len({subnet.zone for subnet, _ in found}) < len(found):
        message = "A load balancer cannot be attached to multiple subnets in the same Availability Zone"
        raise AwsError("InvalidConfigurationRequest", message)
    return found


def _place(call: Call, arn: str, name: str, id: str, subnet: Subnet, address: str | None) -> Placement:
    interface = interfaces.attach(
        call,
        subnet,
        purpose="network_load_balancer",
        holder=arn,
        address=address,
        description=f"ELB net/{name}/{id}",  # what clients look for when they wait for a balancer's deletion
    )
    return Placement(zone=subnet.zone, subnet=subnet.id, interface=interface.id, address=interface.address)


def render(call: Call, balancer: LoadBalancer) -> dict[str, Any]:
    return {
        "LoadBalancerArn": balancer.id,
        "LoadBalancerName": balancer.name,
        "DNSName": balancer.dns_name,
        "CanonicalHostedZoneId": HOSTED_ZONE,
        "CreatedTime": balancer.created,
        "Scheme": balancer.scheme,
        "VpcId": balancer.vpc,
        "State": {"Code": balancer.state},
        "Type": "network",
        "IpAddressType": "ipv4",
        "EnablePrefixForIpv6SourceNat": "off",
        "AvailabilityZones": [
            {
                "ZoneName": zones.zone_name(call.account, call.region, placement.zone),
                "SubnetId": placement.subnet,
                "LoadBalancerAddresses": [{"PrivateIPv4Address": placement.address}],
            }
            for placement in balancer.placements
        ],
    }


@operation("elbv2", "DescribeLoadBalancers", "LoadBalancerArns Names Marker PageSize")
def describe_load_balancers(call: Call) -> Answer:
    chosen = chosen_by_arn(call, LoadBalancer, "LoadBalancerArns", NOT_FOUND)
    return elb_page(call, chosen, "LoadBalancers", lambda b: render(call, b))


@operation("elbv2", "DeleteLoadBalancer", "LoadBalancerArn")
def delete_load_balancer(call: Call) -> Answer:
    """Its listeners go with it, its targets stay; deleting one that does not exist succeeds (AWS)."""
    balancer = call.world.get(LoadBalancer, call.p["LoadBalancerArn"])
    if balancer is None or balancer.owner != call.caller.account:
        return {}
    if any(balancer.id in service.balancers for service in call.mine(EndpointService)):
        message = (
            f"Load balancer '{balancer.id}' cannot be deleted because it is currently associated with another service"
        )
        raise AwsError("ResourceInUse", message)
    if balancer.attributes.get("deletion_protection.enabled") == "true":
        message = f"Load balancer '{balancer.id}' cannot be deleted because deletion protection is enabled"
        raise AwsError("OperationNotPermitted", message)
    for listener in call.world.where(Listener, "balancer", balancer.id):
        call.world.delete(listener)
    interfaces.detach(call, balancer.id)
    call.world.delete(balancer)
    return {}


def find(call: Call, parameter: str = "LoadBalancerArn") -> LoadBalancer:
    """The caller's balancer that the request names."""
    return call.find(LoadBalancer, call.p[parameter], *NOT_FOUND)


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
    wanted = _mappings(call)
    if any(subnet.vpc != balancer.vpc for subnet, _ in wanted):
        raise AwsError("InvalidSubnet", f"The subnets must be in the load balancer's VPC {balancer.vpc}.")
    present = {placement.subnet: placement for placement in balancer.placements}
    lost = {p.zone for p in balancer.placements} - {subnet.zone for subnet, _ in wanted}
    carried = {d.zone for e in call.world.all(Endpoint) for d in e.doors if d.balancer == balancer.id}
    if lost & carried:
        message = f"Endpoints are connected in {', '.join(sorted(lost & carried))}, which the new subnets leave out."
        raise AwsError("InvalidConfigurationRequest", message)
    kept = {subnet.id for subnet, _ in wanted}
    for placement in balancer.placements:
        gone = call.world.get(NetworkInterface, placement.interface)
        if placement.subnet not in kept and gone:
            call.world.delete(gone)
    id = balancer.id.rsplit("/", 1)[1]
    placements = tuple(
        present.get(subnet.id) or _place(call, balancer.id, balancer.name, id, subnet, address)
        for subnet, address in wanted
    )
    balancer = call.world.put(msgspec.structs.replace(balancer, placements=placements))
    return {"AvailabilityZones": render(call, balancer)["AvailabilityZones"], "IpAddressType": "ipv4"}


@operation("elbv2", "DescribeCapacityReservation", "LoadBalancerArn")
def describe_capacity_reservation(call: Call) -> Answer:
    """Nothing is reserved here: capacity is the machine's."""
    find(call)
    return {"CapacityReservationState": []}


@operation("elbv2", "DescribeAccountLimits", "Marker PageSize")
def describe_account_limits(_call: Call) -> Answer:
    limits = {
        "network-load-balancers": 50,
        "listeners-per-network-load-balancer": 50,
        "target-groups": 3000,
        "targets-per-network-load-balancer": 3000,
        "targets-per-availability-zone-per-network-load-balancer": 500,
    }
    return {"Limits": [{"Name": name, "Max": str(most)} for name, most in limits.items()]}
