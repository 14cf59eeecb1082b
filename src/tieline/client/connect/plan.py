"""What is still to do before something is exposed: pure, from what is wanted and what the provider's account shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tieline.client.provider.account import Balancer, Seen, Target
from tieline.client.provider.exposure import Exposure, balancer_name, group_name
from tieline.cloud.model.problems import PlatformError


@dataclass(frozen=True)
class CreateGroup:
    name: str
    port: int
    kind: str

    def __str__(self) -> str:
        return f"create target group {self.name} (TCP {self.port}, targets by {self.kind})"


@dataclass(frozen=True)
class Register:
    name: str
    targets: tuple[Target, ...]

    def __str__(self) -> str:
        return f"register {', '.join(f'{host}:{port}' for host, port in self.targets)} with {self.name}"


@dataclass(frozen=True)
class Deregister:
    name: str
    targets: tuple[Target, ...]

    def __str__(self) -> str:
        return f"deregister {', '.join(f'{host}:{port}' for host, port in self.targets)} from {self.name}"


@dataclass(frozen=True)
class CreateBalancer:
    name: str
    subnets: Mapping[str, str]  # subnet id by zone id

    def __str__(self) -> str:
        return f"create internal network load balancer {self.name} in {', '.join(sorted(self.subnets))}"


@dataclass(frozen=True)
class SetSubnets:
    subnets: Mapping[str, str]

    def __str__(self) -> str:
        return f"extend the load balancer to {', '.join(sorted(self.subnets))}"


@dataclass(frozen=True)
class CrossZones:
    def __str__(self) -> str:
        return "let every zone of the load balancer use every target"


@dataclass(frozen=True)
class CreateListener:
    port: int
    group: str

    def __str__(self) -> str:
        return f"listen on TCP {self.port} for {self.group}"


@dataclass(frozen=True)
class PointListener:
    port: int
    group: str

    def __str__(self) -> str:
        return f"point the listener on TCP {self.port} to {self.group}"


@dataclass(frozen=True)
class CreateService:
    def __str__(self) -> str:
        return "create an endpoint service that requires acceptance"


@dataclass(frozen=True)
class RefreshService:
    """A service learns of its balancer's new zones only when it is modified (ModifyVpcEndpointServiceConfiguration)."""

    def __str__(self) -> str:
        return "offer the service in the load balancer's new zones"


@dataclass(frozen=True)
class Allow:
    principals: tuple[str, ...]

    def __str__(self) -> str:
        return f"allow {', '.join(self.principals)}"


Step = (
    CreateGroup
    | Register
    | Deregister
    | CreateBalancer
    | SetSubnets
    | CrossZones
    | CreateListener
    | PointListener
    | CreateService
    | RefreshService
    | Allow
)


def plan(wanted: Exposure, seen: Seen) -> tuple[Step, ...]:
    """The steps in order, none where all is there; raises PlatformError where no step would help."""
    check(wanted, seen)
    return (*_groups(wanted, seen), *_balancer(wanted, seen), *_listeners(wanted, seen), *_service(wanted, seen))


def placed(wanted: Exposure, seen: Seen) -> dict[str, str]:
    """The subnet to use in each wanted zone that the VPC has, by zone id."""
    by_zone = {subnet.zone: subnet.id for subnet in reversed(seen.subnets)}
    return {zone: by_zone[zone] for zone in sorted(by_zone) if not wanted.zones or zone in wanted.zones}


def check(wanted: Exposure, seen: Seen) -> None:
    """Raise PlatformError for what only a person can settle: no zone in common, names taken, the wrong balancer."""
    if not placed(wanted, seen):
        theirs = sorted({subnet.zone for subnet in seen.subnets})
        message = (
            f"no zone in common: the deployment is in {', '.join(wanted.zones)}, "
            f"{wanted.vpc} has subnets in {', '.join(theirs) or 'no zone'}"
        )
        zones = {"deployment_zones": sorted(wanted.zones), "service_zones": theirs}
        hint = f"create a subnet of {wanted.vpc} in one of {', '.join(wanted.zones)}"
        raise PlatformError(422, "ZONE_MISMATCH", message, hint, **zones)
    _check_balancer(wanted, seen.balancer)
    for port in wanted.ports:
        group = seen.groups.get(group_name(wanted.name, port))
        if group and not group.ours:
            raise _taken("target group", group_name(wanted.name, port))
        if group and (group.vpc, group.kind) != (wanted.vpc, wanted.behind(port)[0].kind):
            message = f"target group {group_name(wanted.name, port)} is in {group.vpc} with targets by {group.kind}"
            raise PlatformError(409, "TARGET_GROUP", message, "disconnect first, or choose another --name")


def _check_balancer(wanted: Exposure, balancer: Balancer | None) -> None:
    if balancer is None:
        return
    if not balancer.ours:
        raise _taken("load balancer", balancer_name(wanted.name))
    if (balancer.kind, balancer.scheme) != ("network", "internal") or balancer.vpc != wanted.vpc:
        message = (
            f"load balancer {balancer_name(wanted.name)} is {balancer.kind} and {balancer.scheme} in {balancer.vpc}, "
            f"and must be network and internal in {wanted.vpc}"
        )
        raise PlatformError(409, "LOAD_BALANCER", message, "delete it, or choose another --name")


def _taken(what: str, name: str) -> PlatformError:
    message = f"a {what} named {name} exists, and was not made by tieline expose"
    return PlatformError(409, "NAME_TAKEN", message, "choose another --name")


def _groups(wanted: Exposure, seen: Seen) -> Iterator[Step]:
    """A listener port that is named has exactly the backends that are named; other ports stay as they are."""
    for port in wanted.ports:
        name = group_name(wanted.name, port)
        group, backends = seen.groups.get(name), wanted.behind(port)
        if group is None:
            yield CreateGroup(name, backends[0].port, backends[0].kind)
        targets = {(one.host, one.port) for one in backends}
        present = group.targets if group else frozenset()
        if targets - present:
            yield Register(name, tuple(sorted(targets - present)))
        if present - targets:
            yield Deregister(name, tuple(sorted(present - targets)))


def _balancer(wanted: Exposure, seen: Seen) -> Iterator[Step]:
    subnets, balancer = placed(wanted, seen), seen.balancer
    if balancer is None:
        yield CreateBalancer(balancer_name(wanted.name), subnets)
    elif subnets.keys() - balancer.subnets.keys():
        yield SetSubnets({**subnets, **balancer.subnets})
    if balancer is None or not balancer.cross_zone:
        yield CrossZones()


def _listeners(wanted: Exposure, seen: Seen) -> Iterator[Step]:
    present = {listener.port: listener for listener in seen.listeners}
    for port in wanted.ports:
        name = group_name(wanted.name, port)
        if port not in present:
            yield CreateListener(port, name)
        elif name not in seen.groups or present[port].group != seen.groups[name].arn:
            yield PointListener(port, name)


def _service(wanted: Exposure, seen: Seen) -> Iterator[Step]:
    service = seen.service
    if service is None:
        yield CreateService()
    elif placed(wanted, seen).keys() - service.zones:
        yield RefreshService()
    missing = set(wanted.principals) - (service.principals if service else set())
    if missing:
        yield Allow(tuple(sorted(missing)))
