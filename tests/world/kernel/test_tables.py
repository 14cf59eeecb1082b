"""A table that was changed again and again is, word for word, the one that would have been loaded at once."""

from __future__ import annotations

import logging
from random import Random

import pytest

from tieline.fabric.core.topology import Crossing, Filter, Guard, Listener, Node, Permit, Protocol, Target, Vpc, Wire
from tieline.fabric.kernel.nft import rules, tables
from tieline.fabric.kernel.system import commands
from tieline.fabric.kernel.system.names import Footprint
from world.kernel.conftest import ENDPOINT, NODE, RESOLVER, World, consumer, wire

pytestmark = pytest.mark.world
PROTOCOLS: tuple[Protocol, ...] = ("tcp", "udp")
PLACES = ("host", "door", "gate", "node")


def some(chance: Random, whole: list[int]) -> list[int]:
    return chance.sample(whole, chance.randint(0, len(whole)))


def drawn(chance: Random) -> tuple[Vpc, list[Wire], list[Wire]]:
    """A VPC that consumes and provides, with anything that a table can hold."""
    targets = [Target(address=f"10.0.0.{n}", port=5432) for n in range(10, 14)]
    listeners = tuple(
        Listener(
            protocol=chance.choice(PROTOCOLS),
            port=port,
            targets=tuple(chance.sample(targets, chance.randint(0, 3))),
            idle_timeout=chance.choice((60, 350)),
            sticky=chance.random() < 0.3,
        )
        for port in some(chance, [1, 2, 3, 4])
    )
    permits = [
        Permit(protocol=chance.choice(("tcp", "udp", "icmp", "all")), peer=peer, first=first, last=first + 9)
        for peer in chance.sample(["10.0.0.0/16", "10.0.0.0/24", "10.0.0.7", "0.0.0.0/0"], 2)
        for first in some(chance, [0, 5, 80, 2048])
    ]
    groups = tuple(Filter(id=f"sg-{n}", inward=tuple(permits[n:]), outward=tuple(permits[:n])) for n in range(3))
    guards = tuple(
        Guard(address=f"10.0.0.{10 + n}", filter=f"sg-{n % 3}", place=PLACES[n % 4])  # type: ignore[arg-type]
        for n in some(chance, list(range(8)))
    )
    vpc = Vpc(
        id="vpc-a",
        cidrs=("10.0.0.0/16",),
        resolver=RESOLVER,
        nodes=(Node(id="eni-1", address=NODE, listeners=listeners),),
        addresses=(ENDPOINT,),
        filters=groups,
        guards=guards,
    )
    offered = tuple((one.protocol, one.port) for one in listeners)
    outgoing = [crossed(n, ("vpc-a", "vpc-b"), (("tcp", 5432),)) for n in some(chance, [1, 2, 3])]
    incoming = [crossed(n, ("vpc-c", "vpc-a"), offered[: n % 3]) for n in some(chance, [4, 5, 6, 7])]
    return vpc, outgoing, incoming


def crossed(n: int, ends: tuple[str, str], ports: tuple[tuple[Protocol, int], ...]) -> Wire:
    crossing = Crossing(
        zone="z", endpoint=f"10.0.0.{200 + n}", near=f"169.254.{n}.0", far=f"169.254.{n}.1", node=NODE, ports=ports
    )
    return Wire(id=f"vpce-{n}", consumer=ends[0], provider=ends[1], crossings=(crossing,))


def footprint(world: World) -> Footprint:
    return Footprint(world.prefix, world.state)


@pytest.mark.parametrize("seed", range(4))
async def test_many_changes_end_where_one_load_does(world: World, seed: int) -> None:
    chance, ours = Random(seed), footprint(world)
    for id in ("vpc-a", "vpc-fresh"):
        await commands.write("ip", "netns", "add", world.namespace(id))
    for _ in range(12):
        parts = drawn(chance)
        await tables.converge(ours, *parts)
        assert not await tables.converge(ours, *parts)
        at_once = f"table ip tieline\ndelete table ip tieline\n{rules.table(*parts)}"
        await commands.write(*commands.entering(world.namespace("vpc-fresh"), "nft", "-f", "-"), stdin=at_once)
        assert await words(world, "vpc-a") == await words(world, "vpc-fresh")


async def test_a_change_by_somebody_else_is_undone_whatever_it_was(world: World) -> None:
    joined, ours = await world.link(), footprint(world)
    before = await words(world, "vpc-a")
    for foreign in ("add element ip tieline closed { 10.9.9.9 }", "add rule ip tieline pass accept"):
        await world.run("vpc-a", "nft", foreign)
        assert await tables.converge(ours, consumer(), [joined], [])
        assert await words(world, "vpc-a") == before


async def test_a_change_beside_the_table_is_nobodys_damage(world: World) -> None:
    joined, ours = await world.link(), footprint(world)
    await world.run("vpc-a", "nft", "add table ip own")
    assert not await tables.converge(ours, consumer(), [joined], [])
    assert "table ip own" in await world.run("vpc-a", "nft", "list", "tables")


async def test_a_link_more_is_a_few_elements(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await world.link()
    caplog.clear()
    with caplog.at_level(logging.INFO):
        await tables.converge(footprint(world), consumer(), [wire(), crossed(9, ("vpc-a", "vpc-b"), (("tcp", 1),))], [])
    (written,) = [record.getMessage() for record in caplog.records if "nft -f" in record.getMessage()]
    assert "add element" in written and "flush" not in written and "chain" not in written


async def words(world: World, id: str) -> list[str]:
    """What the table says, whatever order the kernel gives its elements in."""
    listing = await world.run(id, "nft", "-s", "list", "table", "ip", "tieline")
    return sorted(listing.replace(",", " ").split())
