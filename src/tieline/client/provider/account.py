"""What was seen of a provider's account: subnets, target groups, balancers, the endpoint service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Target = tuple[str, int]  # address or instance id, and port


@dataclass(frozen=True)
class Subnet:
    """A subnet of the provider's VPC; `zone` is an AZ id."""

    id: str
    zone: str


@dataclass(frozen=True)
class Group:
    """A target group, with the targets that are not on their way out."""

    arn: str
    kind: str
    vpc: str
    targets: frozenset[Target] = frozenset()
    ours: bool = True


@dataclass(frozen=True)
class Listener:
    """A TCP port of the load balancer; `group` is the ARN that it forwards to."""

    arn: str
    port: int
    group: str


@dataclass(frozen=True)
class Balancer:
    """The load balancer, with its subnets by zone id."""

    arn: str
    scheme: str = "internal"
    kind: str = "network"
    vpc: str = ""
    subnets: Mapping[str, str] = field(default_factory=dict)
    cross_zone: bool = False
    ours: bool = True


@dataclass(frozen=True)
class Service:
    """The endpoint service: who may ask for it, and the zones that it is offered in."""

    id: str
    name: str
    principals: frozenset[str] = frozenset()
    zones: frozenset[str] = frozenset()
    balancers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Seen:
    """What the provider's account shows of one exposure. `groups` by name."""

    subnets: tuple[Subnet, ...] = ()
    groups: Mapping[str, Group] = field(default_factory=dict)
    balancer: Balancer | None = None
    listeners: tuple[Listener, ...] = ()
    service: Service | None = None
