"""What an AWS account has that makes up a provided service, as one frozen value, read with boto3 alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

T = TypeVar("T")
AT_ONCE: Final = 8  # questions; botocore keeps ten connections


@dataclass(frozen=True)
class Target:
    """One registered target, and what the health check says."""

    id: str
    port: int
    state: str
    reason: str


@dataclass(frozen=True)
class Group:
    """A target group."""

    arn: str
    name: str
    protocol: str
    port: int
    vpc: str
    health: str
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Listener:
    """One port of a load balancer."""

    arn: str
    protocol: str
    port: int
    group: str


@dataclass(frozen=True, order=True)
class Zone:
    """An availability zone: every account has it by the same id, by which the guide goes, and by a name of its own."""

    id: str
    name: str

    def __str__(self) -> str:
        """As AWS's own console writes it."""
        return f"{self.name} ({self.id})" if self.name != self.id else self.id


@dataclass(frozen=True)
class Balancer:
    """A network load balancer."""

    arn: str
    name: str
    state: str
    scheme: str
    vpc: str
    zones: tuple[Zone, ...]
    listeners: tuple[Listener, ...]


@dataclass(frozen=True)
class Connection:
    """Somebody's endpoint that asks for a service."""

    endpoint: str
    owner: str
    state: str


@dataclass(frozen=True)
class Service:
    """An endpoint service."""

    id: str
    name: str
    state: str
    zones: tuple[Zone, ...]
    balancers: tuple[str, ...]
    principals: tuple[str, ...]
    connections: tuple[Connection, ...]


@dataclass(frozen=True)
class Network:
    """A VPC, its subnets by zone, and its instances."""

    id: str
    cidr: str
    subnets: tuple[tuple[str, Zone, str], ...]  # id, zone, CIDR
    instances: tuple[tuple[str, str, str], ...]  # id, address, state


@dataclass(frozen=True)
class Estate:
    """All of it; `problem` says why it could not be read."""

    account: str = ""
    groups: tuple[Group, ...] = ()
    balancers: tuple[Balancer, ...] = ()
    services: tuple[Service, ...] = ()
    networks: tuple[Network, ...] = ()
    problem: str = ""


def read(ec2: Any, elb: Any, sts: Any) -> Estate:
    """The present state; never raises what AWS answers."""
    try:
        networks = _networks(ec2)
        zones = {zone.name: zone for network in networks for _, zone, _ in network.subnets}
        return Estate(
            account=sts.get_caller_identity()["Account"],
            groups=_groups(elb),
            balancers=_balancers(elb, zones),
            services=_services(ec2, zones),
            networks=networks,
        )
    except (BotoCoreError, ClientError) as error:
        return Estate(problem=str(error))


def _all(client: Any, operation: str, key: str, **wanted: Any) -> Iterator[Any]:
    """Every item, however many pages AWS gives them in."""
    return (item for page in client.get_paginator(operation).paginate(**wanted) for item in page[key])


def _each(make: Callable[[Any], T], items: Iterable[Any]) -> list[T]:
    """What is made of each item by a question of its own, several at once; what has gone meanwhile is left out."""

    def made(item: Any) -> T | None:
        try:
            return make(item)
        except ClientError as error:
            if error.response["Error"]["Code"].endswith("NotFound"):
                return None
            raise

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [one for one in pool.map(made, items) if one is not None]


def _groups(elb: Any) -> tuple[Group, ...]:
    def group(one: Any) -> Group:
        arn = one["TargetGroupArn"]
        check = f"{one.get('HealthCheckProtocol', '')} on port {one.get('HealthCheckPort', '')}"
        health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        targets = tuple(_target(each) for each in health)
        return Group(arn, one["TargetGroupName"], one["Protocol"], one["Port"], one["VpcId"], check, targets)

    found = _each(group, _all(elb, "describe_target_groups", "TargetGroups"))
    return tuple(sorted(found, key=lambda group: group.name))


def _target(one: Any) -> Target:
    health = one["TargetHealth"]
    reason = health.get("Description") or health.get("Reason") or ""
    return Target(one["Target"]["Id"], one["Target"].get("Port", 0), health["State"], reason)


def _zones(names: Iterable[str], known: Mapping[str, Zone]) -> tuple[Zone, ...]:
    """Zones by their names; one that no subnet of the account is in has no id here."""
    return tuple(sorted(known.get(name, Zone(name, name)) for name in names))


def _balancers(elb: Any, known: Mapping[str, Zone]) -> tuple[Balancer, ...]:
    def balancer(one: Any) -> Balancer:
        arn = one["LoadBalancerArn"]
        listeners = tuple(map(_listener, _all(elb, "describe_listeners", "Listeners", LoadBalancerArn=arn)))
        zones = _zones([zone["ZoneName"] for zone in one["AvailabilityZones"]], known)
        name, state = one["LoadBalancerName"], one["State"]["Code"]
        return Balancer(arn, name, state, one["Scheme"], one["VpcId"], zones, listeners)

    found = _each(balancer, _all(elb, "describe_load_balancers", "LoadBalancers"))
    return tuple(sorted(found, key=lambda balancer: balancer.name))


def _listener(item: Any) -> Listener:
    actions = item.get("DefaultActions") or [{}]
    return Listener(item["ListenerArn"], item["Protocol"], item["Port"], actions[0].get("TargetGroupArn", ""))


def _services(ec2: Any, known: Mapping[str, Zone]) -> tuple[Service, ...]:
    connections: dict[str, list[Connection]] = {}
    for one in _all(ec2, "describe_vpc_endpoint_connections", "VpcEndpointConnections"):
        asked = Connection(one["VpcEndpointId"], one["VpcEndpointOwner"], one["VpcEndpointState"])
        connections.setdefault(one["ServiceId"], []).append(asked)

    def service(one: Any) -> Service:
        id = one["ServiceId"]
        allowed = _all(ec2, "describe_vpc_endpoint_service_permissions", "AllowedPrincipals", ServiceId=id)
        return Service(
            id,
            one["ServiceName"],
            one["ServiceState"],
            _zones(one.get("AvailabilityZones", []), known),
            tuple(one.get("NetworkLoadBalancerArns", [])),
            tuple(sorted(each["Principal"] for each in allowed)),
            tuple(sorted(connections.get(id, []), key=lambda each: each.endpoint)),
        )

    found = _each(service, _all(ec2, "describe_vpc_endpoint_service_configurations", "ServiceConfigurations"))
    return tuple(sorted(found, key=lambda service: service.id))


def _networks(ec2: Any) -> tuple[Network, ...]:
    subnets: dict[str, list[tuple[str, Zone, str]]] = {}
    for one in _all(ec2, "describe_subnets", "Subnets"):
        zone = Zone(one["AvailabilityZoneId"], one["AvailabilityZone"])
        subnets.setdefault(one["VpcId"], []).append((one["SubnetId"], zone, one["CidrBlock"]))
    instances: dict[str, list[tuple[str, str, str]]] = {}
    for reservation in _all(ec2, "describe_instances", "Reservations"):
        for one in reservation["Instances"]:
            shown = (one["InstanceId"], one.get("PrivateIpAddress", ""), one["State"]["Name"])
            instances.setdefault(one.get("VpcId", ""), []).append(shown)
    return tuple(
        Network(
            vpc["VpcId"],
            vpc["CidrBlock"],
            tuple(sorted(subnets.get(vpc["VpcId"], []), key=lambda subnet: subnet[1])),
            tuple(sorted(instances.get(vpc["VpcId"], []))),
        )
        for vpc in _all(ec2, "describe_vpcs", "Vpcs")
    )
