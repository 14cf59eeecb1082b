"""What is joined to what: the planner's whole answer, which a driver turns into kernel objects.

Nothing here names a kernel mechanism, so that nftables and an eBPF program can be driven from the same values.
All addresses are IPv4 in dotted form; all values are frozen and compare by content.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tieline.fabric.core.sizes import Size

Protocol = Literal["tcp", "udp"]


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every topology value."""


class Host(Value, frozen=True, kw_only=True):
    """An interface in a VPC, one routed link away from its router: an instance's, or of what was attached.

    An attached process's namespace has links of its own, and gets one more with routes to these networks alone.
    Behind an attached link, the host is on the network that the link leads to, and has its settings from its owner.
    """

    id: str
    address: str
    prefix_length: int  # of the subnet, as the host sees it
    router: str  # the subnet's first address
    kind: Literal["machine", "process", "link"] = "machine"
    networks: tuple[str, ...] = ("default",)  # that it reaches by its router


class Target(Value, frozen=True, kw_only=True):
    """Where a listener sends flows."""

    address: str
    port: int


class Listener(Value, frozen=True, kw_only=True):
    """A port of a balancer node and the targets its new flows are spread over; no target refuses with a reset."""

    protocol: Protocol
    port: int
    targets: tuple[Target, ...] = ()
    idle_timeout: int = 350  # seconds without a packet after which a flow is forgotten
    proxy_protocol: bool = False  # targets are told who the client is, in a header before the first byte
    sticky: bool = False  # by the flow's source address alone, rather than address and port


class Severance(Value, frozen=True, kw_only=True):
    """A target whose flows end, once: those that were there `since` it failed or its draining began (a timestamp)."""

    target: Target
    since: str


class Node(Value, frozen=True, kw_only=True):
    """A network load balancer's address in one zone of a VPC. Targets see this address as their client."""

    id: str
    address: str
    listeners: tuple[Listener, ...] = ()
    severed: tuple[Severance, ...] = ()


class Name(Value, frozen=True, kw_only=True):
    """A DNS name and the addresses it has inside one VPC; none means that the name exists without an address."""

    name: str
    addresses: tuple[str, ...]


class Permit(Value, frozen=True, kw_only=True):
    """Something that a filter lets through. `first` and `last` are ports; for ICMP, type * 256 + code."""

    protocol: Literal["tcp", "udp", "icmp", "all"]
    peer: str  # a CIDR block or an address
    first: int = 0
    last: int = 65535


class Filter(Value, frozen=True, kw_only=True):
    """What may begin a flow towards an address that has these security groups, and away from it; no more than that."""

    id: str
    inward: tuple[Permit, ...] = ()
    outward: tuple[Permit, ...] = ()


class Guard(Value, frozen=True, kw_only=True):
    """An address and the filter in front of it. An address without a guard is open.

    A host is filtered both ways. A door is an endpoint's or a balancer's address: what hosts aim at it passes its
    inward side. A gate is the balancer's own filter, met at an endpoint's address, where the real client is still seen.
    A node is a balancer's address again: its outward side filters what it sends to targets, probes included.
    """

    address: str
    filter: str
    place: Literal["host", "door", "gate", "node"]


class Vpc(Value, frozen=True, kw_only=True):
    """One isolated network and all that has an address in it."""

    id: str
    cidrs: tuple[str, ...]
    resolver: str  # the VPC's base address plus two
    hosts: tuple[Host, ...] = ()
    nodes: tuple[Node, ...] = ()
    addresses: tuple[str, ...] = ()  # endpoints', whether or not a wire leads on: the VPC itself answers for them
    names: tuple[Name, ...] = ()
    filters: tuple[Filter, ...] = ()
    guards: tuple[Guard, ...] = ()


class Crossing(Value, frozen=True, kw_only=True):
    """One zone of a wire: `endpoint` in the consumer is carried over near and far to `node` in the provider."""

    zone: str
    endpoint: str
    near: str  # the wire's address in the consumer
    far: str  # the wire's address in the provider
    node: str
    ports: tuple[tuple[Protocol, int], ...]  # the node's listener ports, and nothing else, pass
    proxied: tuple[int, ...] = ()  # those of TCP whose flows get a header with the client's address at the endpoint


class Wire(Value, frozen=True, kw_only=True):
    """A private link that both sides agreed to, between two VPCs. It exists exactly as long as the consent does."""

    id: str
    consumer: str
    provider: str
    crossings: tuple[Crossing, ...]


class Passage(Value, frozen=True, kw_only=True):
    """A port that is handed from one loopback to another, between this machine and an instance.

    `inward` listens on this machine and connects inside the instance (an ingress); outward is the reverse.
    """

    id: str
    instance: str
    direction: Literal["inward", "outward"]
    listen: tuple[str, int]
    connect: tuple[str, int]


class Instance(Value, frozen=True, kw_only=True):
    """A running machine: its place in the network, and the boot script that it runs once."""

    id: str
    vpc: str
    host: Host
    hostname: str
    user_data: str = ""
    size: Size | None = None  # None: the machine's


class Topology(Value, frozen=True, kw_only=True):
    """Everything that should exist on this machine, by id."""

    vpcs: dict[str, Vpc] = {}
    wires: dict[str, Wire] = {}
    instances: dict[str, Instance] = {}
    passages: dict[str, Passage] = {}


class Check(Value, frozen=True, kw_only=True):
    """One health probe: from a balancer node's own address to a target."""

    vpc: str
    source: str
    address: str
    port: int
    protocol: Literal["TCP", "HTTP", "HTTPS"]
    timeout: float  # seconds
    path: str = "/"
    matcher: str = "200-399"
    host: str = ""  # the Host header, for HTTP
    proxy_protocol: bool = False  # the probe begins with a header that says that it is nobody's but the balancer's


class Outcome(Value, frozen=True, kw_only=True):
    """What a probe found: `cause` is the low-level reason of a failure, in words."""

    passed: bool
    reason: str = ""  # an AWS reason code, "" where it passed
    cause: str = ""


class Counts(Value, frozen=True, kw_only=True):
    """What a counter holds."""

    packets: int = 0
    bytes: int = 0
