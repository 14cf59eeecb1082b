"""A wire in the kernel: one veth pair between two VPCs, with a pair of addresses for each zone that it crosses."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from hashlib import sha256

import msgspec

from tieline.fabric.core.topology import Wire
from tieline.fabric.kernel.net import namespaces, plan
from tieline.fabric.kernel.system import commands, runtime
from tieline.fabric.kernel.system.names import Footprint, wire_link

WIDTH = 8  # looks at a time


async def converge(footprint: Footprint, wire: Wire) -> bool:
    """Lay the wire or mend it; True if anything changed. Both VPCs exist. A VPC's wire to itself needs no link."""
    changed = _record(footprint, wire)
    if wire.consumer == wire.provider:
        return changed
    name = wire_link(wire.id)
    near, far = footprint.namespace(wire.consumer), footprint.namespace(wire.provider)
    near_space, far_space = await asyncio.gather(namespaces.link(near, name), namespaces.link(far, name))
    if name not in near_space.links or name not in far_space.links:
        await _lay(name, near, far, near_space, far_space)
        near_space, far_space, changed = plan.Space({}), plan.Space({}), True
    near_end, far_end = _ends(wire)
    ends = ((near, plan.steps(near_end, near_space)), (far, plan.steps(far_end, far_space)))
    return any(await commands.together(*(commands.batch(*end) for end in ends))) or changed


async def remove(footprint: Footprint, wire: Wire) -> None:
    """Take the wire away from whichever end is still there."""
    for vpc in {wire.consumer, wire.provider}:
        namespace, name = footprint.namespace(vpc), wire_link(wire.id)
        if namespaces.exists(namespace) and (await namespaces.link(namespace, name)).links:
            await namespaces.remove_link(namespace, name)
    (footprint.wires / wire.id).unlink(missing_ok=True)


def recorded(footprint: Footprint) -> dict[str, Wire]:
    """The wires that were laid and not yet removed, as they were asked for last."""
    files = sorted(footprint.wires.iterdir()) if footprint.wires.is_dir() else []
    return {file.name: msgspec.json.decode(file.read_bytes(), type=Wire) for file in files}


async def damaged(footprint: Footprint) -> frozenset[str]:
    """The recorded wires that are not as recorded, found by one look at each VPC."""
    known = [wire for wire in recorded(footprint).values() if wire.consumer != wire.provider]
    ends = {end for wire in known for end in (wire.consumer, wire.provider)}
    present = sorted(end for end in ends if namespaces.exists(footprint.namespace(end)))
    spaces = dict(zip(present, await _spaces(footprint, present), strict=True))
    return frozenset(wire.id for wire in known if not _is_sound(wire, spaces))


async def _lay(name: str, near: str, far: str, near_space: plan.Space, far_space: plan.Space) -> None:
    """Two new ends; an end whose peer is elsewhere goes first, and takes that peer with it."""
    for namespace, space in ((near, near_space), (far, far_space)):
        if name in space.links:
            await commands.batch(namespace, [f"link del {name}"])
    same = ("address", _hardware_address(name))
    pair = (name, *same, "netns", near, "type", "veth", "peer", "name", name, *same, "netns", far)
    await commands.write("ip", "link", "add", *pair)


async def _spaces(footprint: Footprint, vpcs: list[str]) -> list[plan.Space]:
    width = asyncio.Semaphore(WIDTH)

    async def look(vpc: str) -> plan.Space:
        async with width:
            try:
                return await namespaces.space(footprint.namespace(vpc))
            except commands.KernelError:  # it went meanwhile, and its links with it
                return plan.Space({})

    return await asyncio.gather(*map(look, vpcs))


def _is_sound(wire: Wire, spaces: Mapping[str, plan.Space]) -> bool:
    """Whether both ends are there as they should be."""
    return all(
        end in spaces and not plan.steps(wanted, spaces[end])
        for end, wanted in zip((wire.consumer, wire.provider), _ends(wire), strict=True)
    )


def _ends(wire: Wire) -> tuple[plan.Space, plan.Space]:
    """Its end in the consumer, its end in the provider."""
    name = wire_link(wire.id)
    near = plan.Space({name: _end([crossing.near for crossing in wire.crossings])})
    return near, plan.Space({name: _end([crossing.far for crossing in wire.crossings])})


def _hardware_address(name: str) -> str:
    """One address for both ends, which then need not ask for each other's.

    A question that is sent while the other end is still down is repeated only after a second, and so was the first
    connection through a new wire.
    """
    return "02:" + sha256(name.encode()).digest()[:5].hex(":")


def _end(addresses: list[str]) -> plan.Link:
    return plan.Link(True, frozenset(f"{address}/31" for address in addresses), arp=False)


def _record(footprint: Footprint, wire: Wire) -> bool:
    """Keep what is laid beside the kernel's objects, so that it can be cut when nobody asks for it any more."""
    file, body = footprint.wires / wire.id, msgspec.json.encode(wire)
    if file.exists() and file.read_bytes() == body:
        return False
    runtime.make(footprint, footprint.wires)
    file.write_bytes(body)
    return True
