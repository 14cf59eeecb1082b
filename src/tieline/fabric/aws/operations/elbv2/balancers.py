"""ELBv2: network load balancers."""

from __future__ import annotations

import re
from typing import Any

from tieline.fabric.aws.operations.elbv2.balancing import chosen_by_arn, elb_page, elb_tags, named
from tieline.fabric.aws.operations.vpc import interfaces
from tieline.fabric.aws.operations.vpc.security_groups import PER_INTERFACE
from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.calls import Answer, Call, asked, operation
from tieline.fabric.core import zones
from tieline.fabric.core.records import EndpointService, Listener, LoadBalancer, Placement, SecurityGroup, Subnet

NOT_FOUND = "LoadBalancerNotFound", "Load balancers '[{id}]' not found"
NAME = re.compile(r"(?!-|internal-)[A-Za-z0-9-]{1,32}(?<!-)")
HOSTED_ZONE = "Z26RNL4JYFTOTI"  # AWS's hosted zone of network load balancers in us-east-1
PER_REGION = 50  # network load balancers of an account (AWS quota)

CREATE = "Name Subnets SubnetMappings SecurityGroups Scheme Tags Type IpAddressType"


@operation("elbv2", "CreateLoadBalancer", CREATE)
def create_load_balancer(call: Call) -> Answer:
    name = call.p["Name"]
    if not NAME.fullmatch(name):
        message = f"Load balancer name '{name}' must have 1 to 32 letters, digits or hyphens, and none at either end."
        raise AwsError("ValidationError", message)
    other = named(call, LoadBalancer, name)
    if other is not None:
        if other.request == asked(call):
            return {"LoadBalancers": [render(call, other)]}
        message = f"A load balancer with the same name '{name}' exists, but with different settings"
        raise AwsError("DuplicateLoadBalancerName", message)
    if len(call.mine(LoadBalancer)) >= PER_REGION:
        raise AwsError("TooManyLoadBalancers", f"An account can have at most {PER_REGION} network load balancers.")
    _check_kind(call)
    wanted = mappings(call)
    id = call.ids.hex(16)
    arn = call.arn("elasticloadbalancing", f"loadbalancer/net/{name}/{id}")
    vpc = wanted[0][0].vpc
    groups = security_groups(call, call.p.get("SecurityGroups", []), vpc)
    balancer = call.world.put(
        LoadBalancer(
            id=arn,
            owner=call.caller.account,
            tags=elb_tags(call),
            name=name,
            vpc=vpc,
            scheme="internal",
            dns_name=f"{name}-{id}.elb.{call.region}.amazonaws.com",
            placements=tuple(place(call, arn, subnet, address, groups) for subnet, address in wanted),
            groups=groups,
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


def mappings(call: Call) -> list[tuple[Subnet, str | None]]:
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


def security_groups(call: Call, ids: list[str], vpc: str) -> tuple[str, ...]:
    """The caller's groups in the balancer's VPC; none is a choice that cannot be changed later (AWS)."""
    missing = "InvalidSecurityGroup", "The security group '{id}' does not exist"
    found = [call.find(SecurityGroup, id, *missing) for id in dict.fromkeys(ids)]
    if len(found) > PER_INTERFACE:
        raise AwsError("InvalidConfigurationRequest", f"A load balancer can have at most {PER_INTERFACE} groups.")
    for group in found:
        if group.vpc != vpc:
            raise AwsError("InvalidSecurityGroup", f"The security group '{group.id}' is not in the VPC {vpc}.")
    return tuple(group.id for group in found)


def place(call: Call, arn: str, subnet: Subnet, address: str | None, groups: tuple[str, ...]) -> Placement:
    """A balancer's presence in a subnet's zone."""
    interface = interfaces.attach(
        call,
        subnet,
        purpose="network_load_balancer",
        holder=arn,
        address=address,
        groups=groups,
        description=f"ELB {arn.partition(':loadbalancer/')[2]}",  # what clients look for while they wait for its end
    )
    return Placement(zone=subnet.zone, subnet=subnet.id, interface=interface.id, address=interface.address)


def render(call: Call, balancer: LoadBalancer) -> dict[str, Any]:
    answer = {
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
    if balancer.groups:
        enforced = "on" if balancer.groups_on_private_link else "off"
        answer["EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"] = enforced
    return answer | {"SecurityGroups": list(balancer.groups)}


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
