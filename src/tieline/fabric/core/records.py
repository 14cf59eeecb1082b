"""What exists: one frozen value per AWS resource, as it is kept in the store."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every record: `id` is AWS's own (an ARN where ELBv2 has one), `owner` the account's twelve digits."""

    KIND: ClassVar[str]
    INDEX: ClassVar[tuple[str, ...]] = ()  # fields by which the world finds records without a scan

    id: str
    owner: str
    tags: dict[str, str] = {}


class Account(Record, frozen=True, kw_only=True):
    """A tenant. `zones` lists zone ids in the order of this account's zone letters a, b, c …

    `trusted` are the ARNs outside the account that may assume its role (docs/decisions/0008).
    """

    KIND: ClassVar[str] = "account"
    name: str
    zones: tuple[str, ...]
    trusted: tuple[str, ...] = ()
    closing: bool = False  # what it owns is on its way out, and then it is


class AccessKey(Record, frozen=True, kw_only=True):
    """A key that signs requests as `arn`. `token` is set for a session's, `expires` for one that has an end.

    `source` is the id of the key that a session was made from, which it does not outlive.
    """

    KIND: ClassVar[str] = "access-key"
    secret: str
    arn: str
    user_id: str
    token: str | None = None
    expires: datetime | None = None
    source: str = ""


class Vpc(Record, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "vpc"
    cidr: str
    dns_support: bool = True
    dns_hostnames: bool = False
    address_metrics: bool = False
    default_acl: str
    main_route_table: str
    dhcp_options: str


class Subnet(Record, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "subnet"
    INDEX: ClassVar[tuple[str, ...]] = ("vpc",)
    vpc: str
    cidr: str
    zone: str  # a zone id
    public_ip_on_launch: bool = False
    attributes: dict[str, Any] = {}


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a security group: ports inclusive, -1 for all; `source` is a CIDR, a group id or a prefix list."""

    id: str
    egress: bool
    protocol: str  # "tcp", "udp", "icmp" or "-1" for all
    from_port: int = -1
    to_port: int = -1
    cidr: str | None = None
    cidr6: str | None = None
    group: str | None = None
    group_owner: str | None = None
    description: str | None = None
    tags: dict[str, str] = {}


class SecurityGroup(Record, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "security-group"
    INDEX: ClassVar[tuple[str, ...]] = ("vpc",)
    vpc: str
    name: str
    description: str
    permissions: tuple[Permission, ...] = ()


class NetworkInterface(Record, frozen=True, kw_only=True):
    """An address in a subnet. `purpose` is AWS's interface type; `holder` the instance, endpoint or balancer."""

    KIND: ClassVar[str] = "network-interface"
    INDEX: ClassVar[tuple[str, ...]] = ("vpc", "subnet", "holder", "token")
    vpc: str
    subnet: str
    zone: str
    address: str
    mac: str
    purpose: str = "interface"  # interface | vpc_endpoint | network_load_balancer
    holder: str = ""
    description: str = ""
    groups: tuple[str, ...] = ()
    attachment: str = ""
    created: datetime
    token: str = ""
    request: dict[str, Any] = {}


class Instance(Record, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "instance"
    INDEX: ClassVar[tuple[str, ...]] = ("vpc", "token")
    vpc: str
    subnet: str
    interface: str
    address: str
    state: str = "pending"
    image: str
    type: str
    user_data: str = ""
    reservation: str
    launched: datetime
    ended: datetime | None = None
    reason: str = ""
    protected: bool = False  # against TerminateInstances
    credits: str = "standard"
    token: str = ""
    request: dict[str, Any] = {}


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How targets are probed; AWS's defaults for a network load balancer (aws.md, section 3)."""

    protocol: str = "TCP"
    port: str = "traffic-port"
    interval: int = 30
    timeout: int = 10
    healthy: int = 5
    unhealthy: int = 2
    path: str = "/"
    matcher: str = "200-399"
    enabled: bool = True


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A target in a group; the same id may be registered on several ports. `zone` is a zone id, or "all"."""

    id: str
    port: int
    address: str
    zone: str
    registered: datetime
    draining: datetime | None = None
    severed: bool = False  # it has drained, and what still flows to it is being ended


class TargetGroup(Record, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "target-group"
    INDEX: ClassVar[tuple[str, ...]] = ("vpc", "name")
    name: str
    protocol: str
    port: int
    vpc: str
    target_type: str
    check: HealthCheck
    attributes: dict[str, str] = {}
    targets: tuple[Registration, ...] = ()
    request: dict[str, Any] = {}  # the create call, to tell an identical one from a conflicting one


class Health(Record, frozen=True, kw_only=True):
    """What the probes say of one target of one group; written when the state changes, not at every probe."""

    KIND: ClassVar[str] = "health"
    INDEX: ClassVar[tuple[str, ...]] = ("group",)
    group: str
    state: str = "initial"
    reason: str = "Elb.RegistrationInProgress"
    cause: str = ""
    since: datetime


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """A load balancer's presence in one zone."""

    zone: str
    subnet: str
    interface: str
    address: str


class LoadBalancer(Record, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "load-balancer"
    INDEX: ClassVar[tuple[str, ...]] = ("vpc", "name")
    name: str
    vpc: str
    scheme: str
    state: str = "provisioning"
    dns_name: str
    placements: tuple[Placement, ...]
    groups: tuple[str, ...] = ()
    groups_on_private_link: bool = True
    attributes: dict[str, str] = {}
    created: datetime
    request: dict[str, Any] = {}


class Listener(Record, frozen=True, kw_only=True):
    KIND: ClassVar[str] = "listener"
    INDEX: ClassVar[tuple[str, ...]] = ("balancer", "group")
    balancer: str
    protocol: str
    port: int
    group: str  # the target group's ARN
    attributes: dict[str, str] = {}


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may ask for a connection: an ARN, or `*` for everybody."""

    id: str
    arn: str
    tags: dict[str, str] = {}


class EndpointService(Record, frozen=True, kw_only=True):
    """`zones` is fixed when the service is made or modified: a zone that its balancer gains later is not served."""

    KIND: ClassVar[str] = "endpoint-service"
    INDEX: ClassVar[tuple[str, ...]] = ("token",)
    balancers: tuple[str, ...]
    zones: tuple[str, ...]
    acceptance_required: bool
    state: str = "Available"
    principals: tuple[Principal, ...] = ()
    address_types: tuple[str, ...] = ("ipv4",)
    payer: str = ""
    private_dns_name: str = ""
    created: datetime
    token: str = ""
    request: dict[str, Any] = {}


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint's presence in one zone, the wire addresses it is given, and the balancer that it stays with."""

    zone: str
    subnet: str
    interface: str
    address: str
    near: str
    far: str
    balancer: str


class Endpoint(Record, frozen=True, kw_only=True):
    """One record seen from two sides: the consumer's endpoint, the provider's connection."""

    KIND: ClassVar[str] = "endpoint"
    INDEX: ClassVar[tuple[str, ...]] = ("vpc", "service", "provider_vpc", "token")
    vpc: str
    service: str
    service_name: str
    provider_vpc: str
    state: str
    doors: tuple[Door, ...]
    dns_suffix: str  # the eight characters that AWS adds to the id in names
    groups: tuple[str, ...] = ()
    policy: str = ""
    private_dns: bool = False  # whether the service's private name leads here inside the VPC
    connection_tags: dict[str, str] = {}  # the provider's, on its side of the record
    created: datetime
    changed: datetime
    error: str = ""
    token: str = ""
    request: dict[str, Any] = {}


KINDS: dict[str, type[Record]] = {kind.KIND: kind for kind in Record.__subclasses__()}
