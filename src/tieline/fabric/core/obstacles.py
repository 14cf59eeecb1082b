"""Why nothing passes an endpoint, in words for its owner: what AWS has the field `lastError` for.

Pure. It names nothing that belongs to the provider but what the consumer meets anyway: ports, zones, and that nobody
answers there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from tieline.fabric.core import health, states
from tieline.fabric.core.records import Endpoint, Listener, LoadBalancer, TargetGroup
from tieline.fabric.core.world import World

Obstacle = tuple[str, str]  # a code and a sentence


def explainer(world: World) -> Callable[[Endpoint], Obstacle | None]:
    """Tells what keeps packets from passing an endpoint; None where they should, or where the state says it all.

    It looks at each zone of a balancer once, however many endpoints lead there, and is good for as long as the world
    does not change.
    """

    @cache
    def of_zone(balancer: str, zone: str) -> Obstacle | None:
        return next(_of_zone(world, balancer, zone), None)

    def explain(endpoint: Endpoint) -> Obstacle | None:
        if endpoint.state == states.FAILED:
            return "Failed", endpoint.error
        if endpoint.state != states.AVAILABLE:
            return None
        return next(filter(None, (of_zone(door.balancer, door.zone) for door in endpoint.doors)), None)

    return explain


def _of_zone(world: World, id: str, zone: str) -> Iterator[Obstacle]:
    balancer = world.get(LoadBalancer, id)
    if balancer is None or all(placement.zone != zone for placement in balancer.placements):
        yield "ZoneNotServed", f"The service's load balancer is no longer in {zone}."
        return
    listeners = world.where(Listener, "balancer", balancer.id)
    if not listeners:
        yield "NoListener", "The service's load balancer has no listener, so no port is open."
    for listener in listeners:
        group = world.get(TargetGroup, listener.group)
        trouble = _of_port(world, balancer, group, zone) if group else None
        if trouble:
            yield trouble[0], f"Port {listener.port} in {zone}: {trouble[1]}"


def _of_port(world: World, balancer: LoadBalancer, group: TargetGroup, zone: str) -> Obstacle | None:
    receiving = health.receiving(world, balancer, group, zone)
    if not any(target.draining is None for target in group.targets):
        return "NoTarget", "no target is registered, so connections are refused."
    if not receiving:
        return "NoTargetInZone", "no healthy target is in this zone and cross-zone balancing is off."
    if not any(health.is_healthy(world, group, target) for target in receiving):
        return "NoHealthyTarget", "no target is healthy; connections go to all of them nevertheless."
    return None
