"""Security groups in the kernel: who may begin a flow, from where he really is, and what a target meets."""

from __future__ import annotations

import socket
import struct
from functools import partial

import pytest
from msgspec.structs import replace

from tieline.fabric.core.topology import Check, Filter, Guard, Permit, Vpc
from world.kernel.conftest import (
    CLIENT,
    ENDPOINT,
    FIRST,
    NODE,
    PORT,
    SECOND,
    World,
    consumer,
    listener,
    provider,
    receive,
    send,
    wire,
)
from world.kernel.test_wire import silence

pytestmark = pytest.mark.world
ANY = Permit(protocol="all", peer="0.0.0.0/0")


def allows(*peers: str, first: int = PORT, last: int = PORT) -> tuple[Permit, ...]:
    return tuple(Permit(protocol="tcp", peer=peer, first=first, last=last) for peer in peers)


def host(address: str, *inward: Permit, outward: tuple[Permit, ...] = (ANY,)) -> tuple[Guard, Filter]:
    name = f"sg-{address}"
    return Guard(address=address, filter=name, place="host"), Filter(id=name, inward=inward, outward=outward)


def guarded(vpc: Vpc, *guards: tuple[Guard, Filter]) -> Vpc:
    return replace(vpc, guards=tuple(g for g, _ in guards), filters=tuple(dict.fromkeys(f for _, f in guards)))


def at(place: str, address: str, *inward: Permit, outward: tuple[Permit, ...] = (ANY,)) -> tuple[Guard, Filter]:
    guard, filter = host(address, *inward, outward=outward)
    return replace(guard, filter=f"{place}-1", place=place), replace(filter, id=f"{place}-1")


def check(address: str = "10.0.0.10", seconds: float = 10) -> Check:
    return Check(vpc="vpc-b", source=NODE, address=address, port=PORT, protocol="TCP", timeout=seconds)


async def test_a_target_is_reached_only_where_its_group_allows_the_node(world: World) -> None:
    """The trap that everybody meets first: the client's address is of no use to the target's group."""
    await world.serve_both()
    joined = await world.link(b=guarded(provider(), host("10.0.0.10", *allows("10.0.0.99/32"))))
    await silence(world, CLIENT, (ENDPOINT, PORT))
    assert not (await world.kernel.probe(check(seconds=0.5))).passed
    assert await world.kernel.converge_vpc(guarded(provider(), host("10.0.0.10", *allows(f"{NODE}/32"))), [], [joined])
    assert await world.greeting(CLIENT) == "i-first"
    assert (await world.kernel.probe(check())).passed
    await silence(world, SECOND, ("10.0.0.10", PORT))


async def test_hosts_meet_each_others_groups_both_ways(world: World) -> None:
    await world.serve_both()
    await world.serve(FIRST, 80)
    narrow = (*allows("10.0.0.10/32", first=1, last=100), *allows("10.0.0.50/32"))
    vpc = guarded(provider(), host("10.0.0.10", *allows("10.0.0.11")), host("10.0.0.11", ANY, outward=narrow))
    await world.link(b=vpc)
    await silence(world, SECOND, ("10.0.0.10", PORT), ("10.0.0.10", 80))
    wide = guarded(provider(), host("10.0.0.10", *allows("10.0.0.11")), host("10.0.0.11", ANY))
    await world.kernel.converge_vpc(wide, [], [wire()])
    assert await world.greeting(SECOND, "10.0.0.10") == "i-first"
    await silence(world, SECOND, ("10.0.0.10", 80))
    assert await world.greeting(FIRST, "10.0.0.11") == "i-second"


async def test_an_endpoints_group_filters_what_enters_it(world: World) -> None:
    await world.serve_both()
    await world.link(a=guarded(consumer(), at("door", ENDPOINT, *allows("10.0.0.11"))))
    await silence(world, CLIENT, (ENDPOINT, PORT))
    await world.kernel.converge_vpc(guarded(consumer(), at("door", ENDPOINT, *allows("10.0.0.0/24"))), [wire()], [])
    assert await world.greeting(CLIENT) == "i-first"


async def test_a_clients_own_group_must_let_it_out_to_the_endpoint(world: World) -> None:
    await world.serve_both()
    for outward, reached in ((allows(f"{NODE}/32"), False), (allows(f"{ENDPOINT}/32"), True)):
        await world.link(a=guarded(consumer(), host("10.0.0.10", outward=outward)))
        if reached:
            assert await world.greeting(CLIENT) == "i-first"
        else:
            await silence(world, CLIENT, (ENDPOINT, PORT))


async def test_a_balancers_group_meets_the_real_client_at_the_endpoint(world: World) -> None:
    await world.serve_both()
    await world.link(a=guarded(consumer(), at("gate", ENDPOINT, *allows("10.0.0.77"))))
    await silence(world, CLIENT, (ENDPOINT, PORT))
    await world.link(a=guarded(consumer(), at("gate", ENDPOINT, *allows("10.0.0.10"))))
    assert await world.greeting(CLIENT) == "i-first"


async def test_a_balancers_group_filters_its_own_vpc_and_what_it_sends(world: World) -> None:
    await world.serve_both()
    both = (at("door", NODE, *allows("10.0.0.11")), at("node", NODE, outward=allows("10.0.0.10")))
    await world.link(b=guarded(provider(listener("10.0.0.10", "10.0.0.11")), *both))
    await silence(world, FIRST, (NODE, PORT))
    assert (await world.kernel.probe(check())).passed
    assert not (await world.kernel.probe(check("10.0.0.11", 0.5))).passed
    await world.kernel.converge_vpc(guarded(provider(), *both), [], [wire()])
    assert await world.greeting(SECOND, NODE) == "i-first"


async def test_an_established_flow_outlives_the_rule_that_let_it_in(world: World) -> None:
    await world.serve_both()
    joined = await world.link(b=guarded(provider(), host("10.0.0.10", *allows(f"{NODE}/32"))))
    with await world.connect(CLIENT) as connection:
        await receive(connection)
        assert await world.kernel.converge_vpc(guarded(provider(), host("10.0.0.10")), [], [joined])
        await silence(world, CLIENT, (ENDPOINT, PORT))
        await send(connection, b"still here")
        assert await receive(connection) == b"still here"


async def test_a_refusal_is_for_those_who_may_ask(world: World) -> None:
    """A listener without targets answers with a reset, but not to a host that the balancer's group shuts out."""
    shut = at("door", NODE, *allows("10.0.0.11"))
    await world.link(b=guarded(provider(listener()), shut))
    with pytest.raises(ConnectionRefusedError):
        await world.connect(SECOND, NODE)
    await silence(world, FIRST, (NODE, PORT))


async def test_names_and_pings_follow_their_own_rules(world: World) -> None:
    """The resolver needs no rule, as on AWS; an ICMP type does."""
    echo = Permit(protocol="icmp", peer="10.0.0.11", first=8 * 256, last=8 * 256 + 255)
    await world.link(b=guarded(provider(), host("10.0.0.10", echo), host("10.0.0.11")))
    assert await world.inside(SECOND, partial(_answers_echo, 1, 10))
    await world.kernel.converge_vpc(guarded(provider(), host("10.0.0.10"), host("10.0.0.11")), [], [wire()])
    assert not await world.inside(SECOND, partial(_answers_echo, 2, 0.5))
    quiet = guarded(consumer(), host("10.0.0.10", outward=()))
    await world.kernel.converge_vpc(quiet, [wire()], [])
    (await world.connect(CLIENT, "10.0.0.2", 53)).close()


def _answers_echo(flow: int, seconds: float) -> bool:
    """Whether 10.0.0.10 answers an echo request in time; each `flow` is one of its own to conntrack."""
    request = struct.pack("!BBHHH", 8, 0, 0xFFFF - 0x0800 - flow, flow, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(seconds)
        raw.sendto(request, ("10.0.0.10", 0))
        try:
            return raw.recv(100)[20] == 0
        except TimeoutError:
            return False
