"""The planner: from what is recorded to what should be joined to what on this machine.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, partial
from ipaddress import IPv4Network

from tieline.fabric.core import addresses, attachments, health, names, sizes, states
from tieline.fabric.core.planning import filters, passages
from tieline.fabric.core.records import (
    Account,
    Endpoint,
    EndpointService,
    Instance,
    Listener,
    LoadBalancer,
    NetworkInterface,
    Subnet,
    TargetGroup,
    Vpc,
)
from tieline.fabric.core.topology import Crossing, Host, Name, Node, Protocol, Severance, Target, Topology, Wire
from tieline.fabric.core.topology import Instance as Machine
from tieline.fabric.core.topology import Listener as Port
from tieline.fabric.core.topology import Vpc as Network
from tieline.fabric.core.world import World

RUNNING = frozenset({"pending", "running"})
PROTOCOLS: dict[str, tuple[Protocol, ...]] = {"TCP": ("tcp",), "UDP": ("udp",), "TCP_UDP": ("tcp", "udp")}


def plan(world: World, region: str) -> Topology:
    """Everything that should exist in the kernel, given what is recorded."""
    serves = cache(partial(health.zone_serves, world))
    running = [i for i in world.all(Instance) if i.state in RUNNING]
    return Topology(
        vpcs={vpc.id: network(world, vpc, region, serves) for vpc in world.all(Vpc)},
        wires={e.id: wire(world, e) for e in world.all(Endpoint) if agreed(world, e)},
        instances={i.id: machine(world, i) for i in running},
        passages={p.id: p for i in running for p in passages.wanted(i, world.get(Account, i.owner))},
    )


def agreed(world: World, endpoint: Endpoint) -> bool:
    """Whether both sides want the endpoint's wire. One that could not be built is tried for as long as its service is
    there: a failed connection does not keep a provider from deleting the service."""
    if endpoint.state == states.FAILED:
        return world.get(EndpointService, endpoint.service) is not None
    return endpoint.state in states.CONSENTED


def network(world: World, vpc: Vpc, region: str, serves: names.Serves) -> Network:
    """One VPC with all that has an address in it."""
    balancers = world.where(LoadBalancer, "vpc", vpc.id)
    instances = [i for i in world.where(Instance, "vpc", vpc.id) if i.state in RUNNING]
    interfaces = world.where(NetworkInterface, "vpc", vpc.id)
    found, guards = filters.of_vpc(world, vpc.id)
    known = names.of_vpc(world, vpc, region, serves)
    return Network(
        id=vpc.id,
        cidrs=(vpc.cidr,),
        resolver=addresses.resolver(vpc.cidr),
        hosts=(*(host(world, instance) for instance in instances), *attachments.hosts(world, vpc)),
        nodes=tuple(node for balancer in balancers for node in nodes(world, balancer)),
        addresses=tuple(sorted(i.address for i in interfaces if i.purpose == "vpc_endpoint")),
        names=tuple(Name(name=name, addresses=those) for name, those in sorted(known)),
        filters=found,
        guards=guards,
    )


def host(world: World, instance: Instance) -> Host:
    """An instance's place in its subnet."""
    subnet = world.get(Subnet, instance.subnet)
    assert subnet is not None, "a subnet outlives its instances"
    prefix = IPv4Network(subnet.cidr).prefixlen
    router = addresses.router(subnet.cidr)
    return Host(id=instance.id, address=instance.address, prefix_length=prefix, router=router)


def machine(world: World, instance: Instance) -> Machine:
    """An instance as it should run."""
    return Machine(
        id=instance.id,
        vpc=instance.vpc,
        host=host(world, instance),
        hostname=names.host_name(instance.address),
        user_data=instance.user_data,
        size=sizes.of(instance.type) if instance.request.get("InstanceType") else None,
    )


def nodes(world: World, balancer: LoadBalancer) -> Iterable[Node]:
    """A load balancer's nodes, one for each of its zones, each with the targets of that zone."""
    listeners = world.where(Listener, "balancer", balancer.id)
    for placement in balancer.placements:
        ports = [port for listener in listeners for port in open_ports(world, balancer, listener, placement.zone)]
        yield Node(
            id=placement.interface,
            address=placement.address,
            listeners=tuple(ports),
            severed=tuple(sorted(severed(world, listeners), key=lambda one: (one.target.address, one.target.port))),
        )


def severed(world: World, listeners: Iterable[Listener]) -> set[Severance]:
    """The targets of a balancer whose flows do not go on: they failed, or have drained long enough."""
    found = set()
    for group in {listener.group: world.get(TargetGroup, listener.group) for listener in listeners}.values():
        for target in group.targets if group else ():
            since = health.ended(world, group, target) if group else None
            if since is not None:
                place = Target(address=target.address, port=target.port)
                found.add(Severance(target=place, since=since.isoformat()))
    return found


def open_ports(world: World, balancer: LoadBalancer, listener: Listener, zone: str) -> Iterable[Port]:
    """A listener as one node has it."""
    group = world.get(TargetGroup, listener.group)
    chosen = targets(world, balancer, group, zone) if group else ()
    timeout = int(listener.attributes.get("tcp.idle_timeout.seconds", "350"))
    sticky = group is not None and group.attributes.get("stickiness.enabled") == "true"
    for protocol in PROTOCOLS[listener.protocol]:
        idle = timeout if protocol == "tcp" else 120  # UDP flows: fixed (aws.md, section 3)
        yield Port(
            protocol=protocol,
            port=listener.port,
            targets=chosen,
            idle_timeout=idle,
            proxy_protocol=protocol == "tcp" and health.announces_clients(group),
            sticky=sticky,
        )


def targets(world: World, balancer: LoadBalancer, group: TargetGroup, zone: str) -> tuple[Target, ...]:
    """The targets of a node's new flows, in an order of their own."""
    chosen = (Target(address=t.address, port=t.port) for t in health.receiving(world, balancer, group, zone))
    return tuple(sorted(chosen, key=lambda t: (t.address, t.port)))


def wire(world: World, endpoint: Endpoint) -> Wire:
    """A consented endpoint's wire: one crossing for each zone, for the listener ports that its balancer has."""
    return Wire(
        id=endpoint.id,
        consumer=endpoint.vpc,
        provider=endpoint.provider_vpc,
        crossings=tuple(crossing for crossing in crossings(world, endpoint)),
    )


def crossings(world: World, endpoint: Endpoint) -> Iterable[Crossing]:
    for door in endpoint.doors:
        balancer = world.get(LoadBalancer, door.balancer)
        placement = next((p for p in balancer.placements if p.zone == door.zone), None) if balancer else None
        if balancer is None or placement is None:
            continue
        listeners = world.where(Listener, "balancer", balancer.id)
        ports = sorted((protocol, each.port) for each in listeners for protocol in PROTOCOLS[each.protocol])
        announcing = {each.port for each in listeners if health.announces_clients(world.get(TargetGroup, each.group))}
        yield Crossing(
            zone=door.zone,
            endpoint=door.address,
            near=door.near,
            far=door.far,
            node=placement.address,
            ports=tuple(ports),
            proxied=tuple(sorted(port for protocol, port in ports if protocol == "tcp" and port in announcing)),
        )
