"""A VPC in the kernel: its namespace, its hosts' links, its own addresses, its nft table and its resolver."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec.structs import replace

from tieline.fabric.core.topology import Host, Vpc, Wire
from tieline.fabric.kernel.instance import users
from tieline.fabric.kernel.net import attachments, namespaces, plan, resolver
from tieline.fabric.kernel.nft import severances, tables
from tieline.fabric.kernel.relay import announcers
from tieline.fabric.kernel.system import commands
from tieline.fabric.kernel.system.names import HOST_LINK, Footprint, host_link, inner_link


class Unsettled(Exception):
    """Hosts that could not be linked, by id, each with its error; all else of their VPC is as it should be."""

    def __init__(self, hosts: Mapping[str, Exception]) -> None:
        super().__init__("; ".join(f"{id}: {error}" for id, error in sorted(hosts.items())))
        self.hosts = frozenset(hosts)


async def converge(footprint: Footprint, vpc: Vpc, outgoing: Sequence[Wire], incoming: Sequence[Wire]) -> bool:
    """Make the VPC what it should be; True if anything changed. The rules stand before the first packet can pass.

    Raises Unsettled, with all else done, where single hosts cannot be linked.
    """
    changed = await namespaces.ensure(footprint.namespace(vpc.id), namespaces.VPC_SETTINGS)
    changed |= await tables.converge(footprint, vpc, outgoing, incoming)
    severing = asyncio.create_task(severances.converge(footprint, vpc))
    try:
        linked, unsettled = await _link_hosts(footprint, vpc, outgoing)
        changed |= linked
        changed |= await announcers.converge(footprint, vpc, outgoing)
        changed |= await resolver.converge(footprint, vpc)
    finally:
        changed |= await severing
    if unsettled:
        raise Unsettled(unsettled)
    return changed


async def remove(footprint: Footprint, vpc: str) -> None:
    """Remove the VPC with its resolver, and with it every link that ends in it."""
    await resolver.remove(footprint, vpc)
    await namespaces.remove(footprint.namespace(vpc))
    for record in (footprint.table(vpc), footprint.severed(vpc), footprint.announcing(vpc)):
        record.unlink(missing_ok=True)


async def _link_hosts(footprint: Footprint, vpc: Vpc, outgoing: Sequence[Wire]) -> tuple[bool, dict[str, Exception]]:
    """Whether anything changed, and whatever went wrong with single hosts, by their ids: they keep nobody waiting."""
    namespace = footprint.namespace(vpc.id)
    observed = await namespaces.space(namespace)
    vpc = replace(vpc, hosts=tuple(host for host in vpc.hosts if _is_there(footprint, host, observed)))
    desired = plan.of_vpc(vpc, outgoing)
    lines = [f"link del {name}" for name in plan.stale_links(desired.links, observed.links, HOST_LINK)]
    changed = await commands.batch(namespace, lines)
    laid, astray = await _each(vpc.hosts, lambda host: _join(footprint, vpc, host, observed))
    fresh, lacking = ({host_link(id) for id in ids} for ids in (laid, astray))
    wanted = plan.without(desired, lacking)
    changed |= await commands.batch(namespace, plan.steps(wanted, plan.without(observed, fresh)))
    joined = [host for host in vpc.hosts if host.id not in astray]
    settled, unsettled = await _each(joined, lambda host: _settle(footprint, host))
    return changed or bool(laid or settled), astray | unsettled


async def _each(
    hosts: Sequence[Host], work: Callable[[Host], Awaitable[bool]]
) -> tuple[set[str], dict[str, Exception]]:
    """Do it for all hosts at once: the ids of those that it changed, and the errors of those that it failed for."""
    found = await asyncio.gather(*map(work, hosts), return_exceptions=True)
    ended = {host.id: one for host, one in zip(hosts, found, strict=True)}
    return {id for id, one in ended.items() if one is True}, {
        id: one for id, one in ended.items() if isinstance(one, Exception)
    }


def _is_there(footprint: Footprint, host: Host, observed: plan.Space) -> bool:
    """What was attached may not be there, or no longer; it comes with a converge after root has put it there."""
    if host.kind == "link":
        return host_link(host.id) in observed.links
    return host.kind == "machine" or namespaces.exists(footprint.namespace(host.id))


async def _join(footprint: Footprint, vpc: Vpc, host: Host, observed: plan.Space) -> bool:
    """Lay the host's veth pair unless both ends are there; True if it was laid.

    One whose other end is elsewhere goes first: a namespace that somebody still holds open outlives its name.
    """
    if host.kind == "link":
        return False
    near, far, name, inner = *map(footprint.namespace, (vpc.id, host.id)), host_link(host.id), inner_link(host.id)
    if host.kind == "machine":
        await users.ensure(footprint, host.id)
    has_near, has_far = name in observed.links, inner in (await namespaces.space(far)).links
    if has_near and has_far:
        return False
    for namespace, link, is_there in ((near, name, has_near), (far, inner, has_far)):
        await commands.batch(namespace, [f"link del {link}"] if is_there else [])
    await commands.write("ip", "link", "add", inner, "netns", far, "type", "veth", "peer", "name", name, "netns", near)
    # answers to ARP for other hosts come at once: the kernel's own delay is up to 0.8 s
    setting = f"net.ipv4.neigh.{name}.proxy_delay=0"
    await commands.write(*commands.entering(near, "sysctl", "-qw", setting))
    return True


async def _settle(footprint: Footprint, host: Host) -> bool:
    """Give a host its address and its way out; one behind an attached link has them from its owner."""
    if host.kind == "link":
        return False
    namespace = footprint.namespace(host.id)
    if host.kind == "process" and namespaces.is_machines(namespace):
        return await attachments.settle_machine(footprint, host)
    return await commands.batch(namespace, plan.steps(plan.of_host(host), await namespaces.space(namespace)))
