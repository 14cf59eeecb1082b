"""Why nothing passes an endpoint, in words for its owner: what AWS has the field `lastError` for.

Pure. It names nothing that belongs to the provider but what the consumer meets anyway: ports, zones, and that nobody
answers there.
"""

from __future__ import annotations

from collections.abc import Iterator

from tieline.fabric import health, states
from tieline.fabric.records import Door, Endpoint, Listener, LoadBalancer, TargetGroup
from tieline.fabric.world import World

Obstacle = tuple[str, str]  # a code and a sentence


def of_endpoint(world: World, endpoint: Endpoint) -> Obstacle | None:
    """What keeps packets from passing; None where they should, or where the state says it all."""
    if endpoint.state == states.FAILED:
        return "Failed", endpoint.error
    if endpoint.state != states.AVAILABLE:
        return None
    return next((found for door in endpoint.doors for found in _of_door(world, door)), None)


def _of_door(world: World, door: Door) -> Iterator[Obstacle]:
    balancer = world.get(LoadBalancer, door.balancer)
    if balancer is None or all(placement.zone != door.zone for placement in balancer.placements):
        yield "ZoneNotServed", f"The service's load balancer is no longer in {door.zone}."
        return
    listeners = world.where(Listener, "balancer", balancer.id)
    if not listeners:
        yield "NoListener", "The service's load balancer has no listener, so no port is open."
    for listener in listeners:
        group = world.get(TargetGroup, listener.group)
        trouble = _of_port(world, balancer, group, door.zone) if group else None
        if trouble:
            yield trouble[0], f"Port {listener.port} in {door.zone}: {trouble[1]}"


def _of_port(world: World, balancer: LoadBalancer, group: TargetGroup, zone: str) -> Obstacle | None:
    receiving = health.receiving(world, balancer, group, zone)
    if not any(target.draining is None for target in group.targets):
        return "NoTarget", "no target is registered, so connections are refused."
    if not receiving:
        return "NoTargetInZone", "no healthy target is in this zone and cross-zone balancing is off."
    if not any(health.is_healthy(world, group, target) for target in receiving):
        return "NoHealthyTarget", "no target is healthy; connections go to all of them nevertheless."
    return None
