"""What an AWS account has that makes up a provided service, as one frozen value, read with boto3 alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError


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


@dataclass(frozen=True)
class Balancer:
    """A network load balancer."""

    arn: str
    name: str
    state: str
    scheme: str
    vpc: str
    zones: tuple[str, ...]
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
    zones: tuple[str, ...]
    balancers: tuple[str, ...]
    principals: tuple[str, ...]
    connections: tuple[Connection, ...]


@dataclass(frozen=True)
class Network:
    """A VPC, its subnets by zone id, and its instances."""

    id: str
    cidr: str
    subnets: tuple[tuple[str, str, str], ...]  # id, zone id, CIDR
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
        return Estate(
            account=sts.get_caller_identity()["Account"],
            groups=_groups(elb),
            balancers=_balancers(elb),
            services=_services(ec2),
            networks=_networks(ec2),
        )
    except (BotoCoreError, ClientError) as error:
        return Estate(problem=str(error))


def _all(client: Any, operation: str, key: str, **wanted: Any) -> Iterator[Any]:
    """Every item, however many pages AWS gives them in."""
    return (item for page in client.get_paginator(operation).paginate(**wanted) for item in page[key])


def _groups(elb: Any) -> tuple[Group, ...]:
    found = []
    for group in _all(elb, "describe_target_groups", "TargetGroups"):
        arn = group["TargetGroupArn"]
        check = f"{group.get('HealthCheckProtocol', '')} on port {group.get('HealthCheckPort', '')}"
        health = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        targets = tuple(_target(one) for one in health)
        found.append(
            Group(arn, group["TargetGroupName"], group["Protocol"], group["Port"], group["VpcId"], check, targets)
        )
    return tuple(sorted(found, key=lambda group: group.name))


def _target(one: Any) -> Target:
    health = one["TargetHealth"]
    reason = health.get("Description") or health.get("Reason") or ""
    return Target(one["Target"]["Id"], one["Target"].get("Port", 0), health["State"], reason)


def _balancers(elb: Any) -> tuple[Balancer, ...]:
    found = []
    for one in _all(elb, "describe_load_balancers", "LoadBalancers"):
        arn = one["LoadBalancerArn"]
        listeners = tuple(map(_listener, _all(elb, "describe_listeners", "Listeners", LoadBalancerArn=arn)))
        zones = tuple(sorted(zone["ZoneName"] for zone in one["AvailabilityZones"]))
        name, state = one["LoadBalancerName"], one["State"]["Code"]
        found.append(Balancer(arn, name, state, one["Scheme"], one["VpcId"], zones, listeners))
    return tuple(sorted(found, key=lambda balancer: balancer.name))


def _listener(item: Any) -> Listener:
    actions = item.get("DefaultActions") or [{}]
    return Listener(item["ListenerArn"], item["Protocol"], item["Port"], actions[0].get("TargetGroupArn", ""))


def _services(ec2: Any) -> tuple[Service, ...]:
    connections: dict[str, list[Connection]] = {}
    for one in _all(ec2, "describe_vpc_endpoint_connections", "VpcEndpointConnections"):
        asked = Connection(one["VpcEndpointId"], one["VpcEndpointOwner"], one["VpcEndpointState"])
        connections.setdefault(one["ServiceId"], []).append(asked)
    found = []
    for one in _all(ec2, "describe_vpc_endpoint_service_configurations", "ServiceConfigurations"):
        id = one["ServiceId"]
        allowed = _all(ec2, "describe_vpc_endpoint_service_permissions", "AllowedPrincipals", ServiceId=id)
        found.append(
            Service(
                id,
                one["ServiceName"],
                one["ServiceState"],
                tuple(sorted(one.get("AvailabilityZones", []))),
                tuple(one.get("NetworkLoadBalancerArns", [])),
                tuple(sorted(each["Principal"] for each in allowed)),
                tuple(sorted(connections.get(id, []), key=lambda each: each.endpoint)),
            )
        )
    return tuple(sorted(found, key=lambda service: service.id))


def _networks(ec2: Any) -> tuple[Network, ...]:
    subnets: dict[str, list[tuple[str, str, str]]] = {}
    for one in _all(ec2, "describe_subnets", "Subnets"):
        subnets.setdefault(one["VpcId"], []).append((one["SubnetId"], one["AvailabilityZoneId"], one["CidrBlock"]))
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
