"""Target health as a pure state machine: what the probes found, and what a target's state is after it.

Rules (aws.md, section 2.3): a target enters service on its first passed check; a healthy one leaves it after
`unhealthy` failures in a row; an unhealthy one returns after `healthy` successes in a row. An initial target is probed
every second and becomes unhealthy when its failures have lasted as long as `unhealthy` regular checks would. Where
the check itself cannot be made, the target is not unhealthy but its health unavailable.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from tieline.fabric.core.records import Health, HealthCheck, Instance, Listener, LoadBalancer, Registration, TargetGroup
from tieline.fabric.core.topology import Outcome
from tieline.fabric.core.world import World

INITIAL_INTERVAL = 1.0  # seconds between checks of a target that has not yet passed or failed
DESCRIPTIONS = {
    "Elb.RegistrationInProgress": "Target registration is in progress",
    "Elb.InitialHealthChecking": "Initial health checks in progress",
    "Target.FailedHealthChecks": "Health checks failed",
    "Target.Timeout": "Request timed out",
    "Target.ResponseCodeMismatch": "Health checks failed with these codes",
    "Target.NotRegistered": "Target is not registered to the target group",
    "Target.NotInUse": "Target group is not configured to receive traffic from the load balancer",
    "Target.InvalidState": "Target is in the stopped state",
    "Target.DeregistrationInProgress": "Target deregistration is in progress",
    "Target.IpUnusable": "The target IP address is reserved for use by a load balancer",
    "Elb.InternalError": "Target health is unavailable due to an internal error",
}
INTERNAL = "Elb.InternalError"
FAILOVER = "target_group_health.dns_failover.minimum_healthy_targets."  # fewer, and the zone leaves DNS
ROUTING = "target_group_health.unhealthy_state_routing.minimum_healthy_targets."  # fewer, and all targets are used
ZONE_NOT_ENABLED = "Target is in an Availability Zone that is not enabled for the load balancer"


class Run(msgspec.Struct, frozen=True):
    """Checks in a row with the same result; kept in memory only."""

    passed: bool = False
    length: int = 0


def key(group: str, target: str, port: int) -> str:
    """The id of a target's health record."""
    return f"{group}|{target}|{port}"


def judge(health: Health, run: Run, outcome: Outcome, check: HealthCheck, now: datetime) -> tuple[Health, Run]:
    """The target's health and run of results after one more check; the same Health value if nothing changed."""
    run = Run(outcome.passed, run.length + 1 if run.passed == outcome.passed else 1)
    if outcome.passed:
        if health.state in ("initial", "unavailable") or (health.state == "unhealthy" and run.length >= check.healthy):
            return _become(health, "healthy", "", "", now), run
        return health, run
    patience = timedelta(seconds=check.interval * (check.unhealthy - 1))
    exhausted = run.length >= check.unhealthy
    if health.state == "initial" and now - health.since < patience:
        return msgspec.structs.replace(health, reason="Elb.InitialHealthChecking", cause=outcome.cause), run
    down = "unavailable" if outcome.reason == INTERNAL else "unhealthy"
    if health.state != down and exhausted:
        return _become(health, down, outcome.reason, outcome.cause, now), run
    if health.state == down and health.cause != outcome.cause:
        return msgspec.structs.replace(health, reason=outcome.reason, cause=outcome.cause), run
    return health, run


def _become(health: Health, state: str, reason: str, cause: str, now: datetime) -> Health:
    return msgspec.structs.replace(health, state=state, reason=reason, cause=cause, since=now)


def interval(health: Health, check: HealthCheck) -> float:
    """Seconds until the next check."""
    return INITIAL_INTERVAL if health.state == "initial" else float(check.interval)


def balancer_of(world: World, group: TargetGroup) -> tuple[LoadBalancer, list[Listener]] | None:
    """The load balancer that uses a group, with the listeners that lead to it; a group has at most one balancer."""
    listeners = world.where(Listener, "group", group.id)
    balancer = world.get(LoadBalancer, listeners[0].balancer) if listeners else None
    return (balancer, listeners) if balancer else None


def cross_zone(balancer: LoadBalancer, group: TargetGroup) -> bool:
    """Whether every node may use every zone's targets: the group's own setting, or else the balancer's."""
    own = group.attributes.get("load_balancing.cross_zone.enabled", "use_load_balancer_configuration")
    if own == "use_load_balancer_configuration":
        own = balancer.attributes.get("load_balancing.cross_zone.enabled", "false")
    return own == "true"


def in_use(world: World, group: TargetGroup, target: Registration) -> tuple[str, str] | None:
    """None if probes should run; otherwise AWS's reason and description for `unused`."""
    reason = _unusable(world, group, target)
    if reason:
        return reason, DESCRIPTIONS[reason]
    used = balancer_of(world, group)
    if used is None:
        return "Target.NotInUse", DESCRIPTIONS["Target.NotInUse"]
    balancer = used[0]
    zones = {placement.zone for placement in balancer.placements}
    if target.zone != "all" and target.zone not in zones and not cross_zone(balancer, group):
        return "Target.NotInUse", ZONE_NOT_ENABLED
    return None


def _unusable(world: World, group: TargetGroup, target: Registration) -> str:
    """Why a target can serve nobody, whatever uses its group: an instance that ended, or a balancer's own address."""
    if group.target_type == "instance":
        instance = world.get(Instance, target.id)
        return "" if instance is not None and instance.state in ("pending", "running") else "Target.InvalidState"
    nodes = (placement for one in world.where(LoadBalancer, "vpc", group.vpc) for placement in one.placements)
    return "Target.IpUnusable" if any(node.address == target.address for node in nodes) else ""


def health_of(world: World, group: TargetGroup, target: Registration, now: datetime) -> Health:
    """A target's present health; one that nothing was said of yet is initial."""
    id = key(group.id, target.id, target.port)
    return world.get(Health, id) or Health(id=id, owner=group.owner, group=group.id, since=now)


def is_healthy(world: World, group: TargetGroup, target: Registration) -> bool:
    """Whether a target is in service."""
    found = world.get(Health, key(group.id, target.id, target.port))
    return found is not None and found.state == "healthy"


def receiving(world: World, balancer: LoadBalancer, group: TargetGroup, zone: str) -> list[Registration]:
    """Where a node sends new flows: its zone's healthy targets, or all zones' with cross-zone balancing.

    When fewer are healthy in all zones together than the group's `unhealthy_state_routing` attributes say, the balancer
    fails open to every target (aws.md, section 3).
    """
    registered = [t for t in group.targets if t.draining is None and not _unusable(world, group, t)]
    healthy = [t for t in registered if is_healthy(world, group, t)]
    usable = healthy if len(healthy) >= _enough(group.attributes, ROUTING, len(registered)) else registered
    if cross_zone(balancer, group):
        return usable
    return [t for t in usable if t.zone in (zone, "all")]


def ended(world: World, group: TargetGroup, target: Registration) -> datetime | None:
    """Since when a target's established flows are not to go on, by the group's attributes; None where they are."""
    if target.draining is not None:
        return target.draining if target.severed else None
    if group.attributes.get("target_health_state.unhealthy.connection_termination.enabled", "true") != "true":
        return None
    found = world.get(Health, key(group.id, target.id, target.port))
    return found.since if found is not None and found.state == "unhealthy" else None


def announces_clients(group: TargetGroup | None) -> bool:
    """Whether a group's targets get the PROXY protocol's header, on checks as well."""
    return group is not None and group.attributes.get("proxy_protocol_v2.enabled") == "true"


def zone_serves(world: World, balancer: str, zone: str) -> bool:
    """Whether each of a balancer's groups has enough healthy targets for the zone to be in DNS.

    Enough is what the group's `dns_failover` attributes say; with cross-zone balancing every zone's targets count.
    """
    owner, listeners = world.get(LoadBalancer, balancer), world.where(Listener, "balancer", balancer)
    for id in {listener.group for listener in listeners}:
        group = world.get(TargetGroup, id)
        if group is None or owner is None:
            continue
        usable = [t for t in group.targets if t.draining is None]
        if not cross_zone(owner, group):
            usable = [t for t in usable if t.zone in (zone, "all")]
        healthy = sum(is_healthy(world, group, t) for t in usable)
        if healthy < _enough(group.attributes, FAILOVER, len(usable)):
            return False
    return True


def _enough(attributes: Mapping[str, str], rule: str, registered: int) -> int:
    """How many of the registered targets have to be healthy: the greater of the rule's count and percentage."""
    count, percentage = attributes.get(rule + "count", "1"), attributes.get(rule + "percentage", "off")
    fewest = 0 if count == "off" else int(count)
    return fewest if percentage == "off" else max(fewest, -(-registered * int(percentage) // 100))
