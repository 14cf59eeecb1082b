"""The DNS names that AWS gives, and which addresses they have inside one VPC."""

from __future__ import annotations

from collections.abc import Iterator

from tieline.fabric import zones
from tieline.fabric.records import Account, Endpoint, EndpointService, Instance, LoadBalancer, NetworkInterface, Vpc
from tieline.fabric.world import World

LIVE = frozenset({"pending", "available"})


def service_name(region: str, service_id: str) -> str:
    """What a provider hands to consumers."""
    return f"com.amazonaws.vpce.{region}.{service_id}"


def service_domain(region: str, service_id: str) -> str:
    """The service's base name, under which its endpoints have theirs."""
    return f"{service_id}.{region}.vpce.amazonaws.com"


def endpoint_names(world: World, endpoint: Endpoint, region: str) -> list[tuple[str, tuple[str, ...]]]:
    """An endpoint's names with their addresses: the regional one first, then one for each zone."""
    account = world.get(Account, endpoint.owner)
    assert account is not None, "an account outlives what it owns"
    label, domain = f"{endpoint.id}-{endpoint.dns_suffix}", service_domain(region, endpoint.service)
    found = [(f"{label}.{domain}", tuple(door.address for door in endpoint.doors))]
    for door in endpoint.doors:
        found.append((f"{label}-{zones.zone_name(account, region, door.zone)}.{domain}", (door.address,)))
    return found


def balancer_names(world: World, balancer: LoadBalancer, region: str) -> list[tuple[str, tuple[str, ...]]]:
    """A load balancer's name and its zonal names."""
    account = world.get(Account, balancer.owner)
    assert account is not None, "an account outlives what it owns"
    found = [(balancer.dns_name, tuple(placement.address for placement in balancer.placements))]
    for placement in balancer.placements:
        zone = zones.zone_name(account, region, placement.zone)
        found.append((f"{zone}.{balancer.dns_name}", (placement.address,)))
    return found


def host_name(address: str) -> str:
    """An instance's name in AWS's address form."""
    return "ip-" + address.replace(".", "-")


def private_domain(region: str) -> str:
    """us-east-1 has its own, older domain (AWS, EC2 instance hostnames)."""
    return "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"


def of_vpc(world: World, vpc: Vpc, region: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every name that resolves inside a VPC. An endpoint's name is there from the request on, as on AWS."""
    for endpoint in world.where(Endpoint, "vpc", vpc.id):
        service = world.get(EndpointService, endpoint.service)
        if service or endpoint.state in LIVE:
            yield from endpoint_names(world, endpoint, region)
        if service and service.private_dns_name and endpoint.private_dns and vpc.dns_support and vpc.dns_hostnames:
            yield service.private_dns_name, tuple(door.address for door in endpoint.doors)
    for balancer in world.where(LoadBalancer, "vpc", vpc.id):
        yield from balancer_names(world, balancer, region)
    for instance in world.where(Instance, "vpc", vpc.id):
        interface = world.get(NetworkInterface, instance.interface)
        if interface:
            yield f"{host_name(interface.address)}.{private_domain(region)}", (interface.address,)
