"""The DNS names that AWS gives, and which addresses they have inside one VPC."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from tieline.fabric.core import zones
from tieline.fabric.core.records import (
    Account,
    Endpoint,
    EndpointService,
    Instance,
    LoadBalancer,
    NetworkInterface,
    Vpc,
)
from tieline.fabric.core.world import World

Serves = Callable[[str, str], bool]  # whether a balancer, by its ARN, serves a zone
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


def is_reserved(name: str) -> bool:
    """Whether a name lies where instances have theirs, in this or another region: nobody else's may be there."""
    return f".{name.lower().rstrip('.')}".endswith((".ec2.internal", ".compute.internal"))


def in_service(places: Iterable[tuple[str, str, str]], serves: Serves) -> tuple[str, ...]:
    """Of (balancer, zone, address), the addresses whose zone serves; all of them where none does, as on AWS."""
    found = list(places)
    return tuple(address for balancer, zone, address in found if serves(balancer, zone)) or tuple(
        address for _, _, address in found
    )


def of_vpc(world: World, vpc: Vpc, region: str, serves: Serves) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every name that resolves inside a VPC. An endpoint's name is there from the request on, as on AWS.

    A zone without healthy targets is left out of the regional names, and stays in its own.
    """
    for endpoint in world.where(Endpoint, "vpc", vpc.id):
        service = world.get(EndpointService, endpoint.service)
        present = in_service(((door.balancer, door.zone, door.address) for door in endpoint.doors), serves)
        if service or endpoint.state in LIVE:
            (regional, _), *zonal = endpoint_names(world, endpoint, region)
            yield from ((regional, present), *zonal)
        private = service.private_dns_name if service and endpoint.private_dns else ""
        if private and vpc.dns_support and vpc.dns_hostnames and not is_reserved(private):
            yield private, present
    for balancer in world.where(LoadBalancer, "vpc", vpc.id):
        (regional, _), *zonal = balancer_names(world, balancer, region)
        places = ((balancer.id, placement.zone, placement.address) for placement in balancer.placements)
        yield from ((regional, in_service(places, serves)), *zonal)
    for instance in world.where(Instance, "vpc", vpc.id):
        interface = world.get(NetworkInterface, instance.interface)
        if interface:
            yield f"{host_name(interface.address)}.{private_domain(region)}", (interface.address,)
