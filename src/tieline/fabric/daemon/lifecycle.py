"""How records move on by themselves: when the kernel has caught up, and when time has passed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from tieline.fabric.core import consent, health, states
from tieline.fabric.core.records import (
    KINDS,
    AccessKey,
    Account,
    Endpoint,
    EndpointService,
    Health,
    Instance,
    LoadBalancer,
    NetworkInterface,
    Record,
    TargetGroup,
)
from tieline.fabric.core.topology import Topology, Value
from tieline.fabric.core.world import World

Key = tuple[str, str]  # kind and id: "vpc", "wire", "instance" or "passage"
EXPIRED_LIFETIME = timedelta(hours=1)  # how long the owner of an expired key is told so, and not that it is unknown
PATIENCE = timedelta(seconds=20)  # a first try may fail while what it stands on is on its way
SEVERING = timedelta(seconds=15)  # three of the reconciler's looks
REASON_LENGTH = 500  # characters of an instance's reason that are kept: a kernel's error comes with its command
TERMINATED_LIFETIME = timedelta(hours=1)  # how long a terminated instance is still described (AWS)


def wanted(topology: Topology) -> dict[Key, Value | tuple[object, ...]]:
    """What should exist, by key. A VPC's value includes its wires, since its rules follow from them."""
    found: dict[Key, Value | tuple[object, ...]] = {}
    ends: dict[str, list[object]] = {id: [] for id in topology.vpcs}
    for wire in topology.wires.values():
        found["wire", wire.id] = wire
        for end in {wire.consumer, wire.provider}:
            if end in ends:
                ends[end].append(wire)
    for vpc in topology.vpcs.values():
        found["vpc", vpc.id] = (vpc, *ends[vpc.id])
    for instance in topology.instances.values():
        found["instance", instance.id] = instance
    for passage in topology.passages.values():
        found["passage", passage.id] = passage
    return found


class Progress(Protocol):
    """How far the kernel has followed, by key."""

    def built(self, key: Key) -> bool:
        """Whether it is there as it is wanted."""

    def gone(self, key: Key) -> bool:
        """Whether it is neither there nor wanted."""

    def trouble(self, key: Key) -> str:
        """Why it could not be built at the last try; "" where it could, or was not tried."""


def advance(world: World, progress: Progress, now: datetime) -> None:
    """Move records on whose kernel objects are there as wanted, gone, or in trouble. Call it inside a transaction."""
    for endpoint in world.all(Endpoint):
        _advance_endpoint(world, endpoint, progress, now)
    for balancer in world.all(LoadBalancer):
        if balancer.state == "provisioning" and progress.built(("vpc", balancer.vpc)):
            world.put(msgspec.structs.replace(balancer, state="active"))
    for instance in world.all(Instance):
        if instance.state in ("pending", "running"):
            _advance_instance(world, instance, progress)
        elif instance.state == "shutting-down" and progress.gone(("instance", instance.id)):
            _remove_interfaces(world, instance.id)
            world.put(msgspec.structs.replace(instance, state="terminated", ended=now))
    for account in world.all(Account):
        if account.closing:
            _finish_closing(world, account, progress)


def _advance_instance(world: World, instance: Instance, progress: Progress) -> None:
    """One that is there runs; one that cannot be started, or not again, says why."""
    key = ("instance", instance.id)
    state = "running" if progress.built(key) else instance.state
    reason = progress.trouble(key)[:REASON_LENGTH]
    if (state, reason) != (instance.state, instance.reason):
        world.put(msgspec.structs.replace(instance, state=state, reason=reason))


def _finish_closing(world: World, account: Account, progress: Progress) -> None:
    """Remove a closing account with what is left of it, once no flow can pass and nothing of it runs any more."""
    services = [service.id for service in world.where(EndpointService, "owner", account.id)]
    served = [endpoint for id in services for endpoint in world.where(Endpoint, "service", id)]
    own: list[Record] = [*world.where(Endpoint, "owner", account.id)]
    own += [one for one in world.where(Instance, "owner", account.id) if one.state != "terminated"]
    if not own and all(progress.gone(("wire", endpoint.id)) for endpoint in served):
        for kind in KINDS.values():
            for record in world.where(kind, "owner", account.id):
                world.delete(record)


def _advance_endpoint(world: World, endpoint: Endpoint, progress: Progress, now: datetime) -> None:
    """One that cannot be built has failed, with the reason, and is tried on: it is available once that succeeds."""
    parts: list[Key] = [("wire", endpoint.id), ("vpc", endpoint.vpc), ("vpc", endpoint.provider_vpc)]
    if endpoint.state in (states.PENDING, states.FAILED) and all(progress.built(part) for part in parts):
        _move(world, endpoint, "built", now)
    elif endpoint.state == states.PENDING and now - endpoint.changed > PATIENCE:
        why = next(filter(None, map(progress.trouble, parts)), "")
        if why:
            _move(world, endpoint, "broken", now, why)
    elif endpoint.state == states.DELETING and progress.gone(parts[0]):
        _remove_interfaces(world, endpoint.id)
        world.delete(endpoint)


def _move(world: World, endpoint: Endpoint, event: states.Event, now: datetime, error: str = "") -> None:
    state = states.after(endpoint.state, event)
    world.put(msgspec.structs.replace(endpoint, state=state, changed=now, error=error))


def _remove_interfaces(world: World, holder: str) -> None:
    for interface in world.where(NetworkInterface, "holder", holder):
        world.delete(interface)


def expire(world: World, now: datetime) -> None:
    """Let time do its part: drained targets go, requests expire, terminated instances are forgotten."""
    for group in world.all(TargetGroup):
        _drain(world, group, now)
    for endpoint in world.all(Endpoint):
        if endpoint.state == states.PENDING_ACCEPTANCE:
            lifetime = consent.request_lifetime(world.get(EndpointService, endpoint.service))
            if now - endpoint.created > lifetime:
                _move(world, endpoint, "expire", now)
    for key in world.all(AccessKey):
        if key.expires is not None and now - key.expires > EXPIRED_LIFETIME:
            world.delete(key)
    for instance in world.all(Instance):
        if instance.ended is not None and now - instance.ended > TERMINATED_LIFETIME:
            world.delete(instance)


def _drain(world: World, group: TargetGroup, now: datetime) -> None:
    """A drained target goes; where the group ends its flows then, it stays for as long as that may take."""
    delay = timedelta(seconds=int(group.attributes.get("deregistration_delay.timeout_seconds", "300")))
    severs = group.attributes.get("deregistration_delay.connection_termination.enabled") == "true"
    drained = {t for t in group.targets if t.draining is not None and now - t.draining >= delay}
    gone = {t for t in drained if not severs or now - t.draining >= delay + SEVERING}  # type: ignore[operator]
    kept = tuple(msgspec.structs.replace(t, severed=t in drained) for t in group.targets if t not in gone)
    if kept == group.targets:
        return
    for target in gone:
        record = world.get(Health, health.key(group.id, target.id, target.port))
        if record:
            world.delete(record)
    world.put(msgspec.structs.replace(group, targets=kept))
