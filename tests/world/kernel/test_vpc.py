"""A VPC is converged once, mended when damaged, and otherwise left alone; its names exist inside it only."""

from __future__ import annotations

import asyncio
import socket
import statistics
import struct
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from msgspec.structs import replace

from tieline.fabric.core.topology import Name
from tieline.fabric.kernel.net import namespaces
from tieline.fabric.kernel.system import names, processes
from tieline.fabric.kernel.system.commands import KernelError
from world.kernel.conftest import (
    CLIENT,
    ENDPOINT,
    FIRST,
    NAME,
    RESOLVER,
    SECOND,
    World,
    consumer,
    listener,
    provider,
    wire,
    writes,
)

pytestmark = pytest.mark.world
T = TypeVar("T")
NO_ERROR, NO_SUCH_NAME = 0, 3  # RFC 1035, 4.1.1


async def test_what_is_right_is_left_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    joined = await world.link()
    caplog.clear()
    assert not await world.kernel.converge_vpc(consumer(), [joined], [])
    assert not await world.kernel.converge_vpc(provider(), [], [joined])
    assert not await world.kernel.converge_wire(joined)
    assert writes(caplog) == []
    assert caplog.records, "the reading commands are logged, so that nothing was skipped"


Damage = Callable[[World], Awaitable[object]]


async def _kill_resolver(world: World) -> None:
    within = processes.within(names.path(world.namespace("vpc-a")))
    assert await processes.end(processes.found(within))


DAMAGES: dict[str, Damage] = {
    "table": lambda world: world.run("vpc-a", "nft", "delete", "table", "ip", "tieline"),
    "element": lambda world: world.run(
        "vpc-a", "nft", "delete", "element", "ip", "tieline", "endpoints", f"{{ {ENDPOINT} . tcp . 5432 }}"
    ),
    "target": lambda world: world.run("vpc-b", "nft", "flush", "chain", "ip", "tieline", "to-10.0.0.60-tcp-5432"),
    "endpoint address": lambda world: world.run("vpc-a", "ip", "address", "del", f"{ENDPOINT}/32", "dev", "lo"),
    "host link": lambda world: world.run("vpc-a", "ip", "link", "del", names.host_link(CLIENT)),
    "host link down": lambda world: world.run("vpc-a", "ip", "link", "set", names.host_link(CLIENT), "down"),
    "host route": lambda world: world.run("vpc-b", "ip", "route", "del", "10.0.0.10"),
    "host's own address": lambda world: world.run(CLIENT, "ip", "address", "flush", "dev", "eth0"),
    "host's way out": lambda world: world.run(CLIENT, "ip", "route", "del", "default"),
    "wire": lambda world: world.run("vpc-b", "ip", "link", "del", names.wire_link("vpce-1")),
    "wire address": lambda world: world.run("vpc-b", "ip", "address", "flush", "dev", names.wire_link("vpce-1")),
    "wire down": lambda world: world.run("vpc-b", "ip", "link", "set", names.wire_link("vpce-1"), "down"),
    "forwarding": lambda world: world.run("vpc-a", "sysctl", "-qw", "net.ipv4.ip_forward=0"),
    "resolver": _kill_resolver,
}


async def test_every_damage_is_mended(world: World) -> None:
    joined = await world.link()
    await world.serve(FIRST)
    for what, damage in DAMAGES.items():
        await damage(world)
        changed = [
            await world.kernel.converge_vpc(consumer(), [joined], []),
            await world.kernel.converge_vpc(provider(), [], [joined]),
            await world.kernel.converge_wire(joined),
        ]
        assert any(changed), f"the {what} was not mended"
        assert await world.greeting(CLIENT) == "i-first", f"the {what} was not mended"
        assert (await resolve(world, CLIENT, NAME))[1] == [ENDPOINT], f"the {what} was not mended"


async def test_what_is_no_longer_wanted_goes(world: World) -> None:
    joined = await world.link()
    bare = replace(consumer(), hosts=(), addresses=(), names=())
    assert await world.kernel.converge_vpc(bare, [], [])
    shown = await world.run("vpc-a", "ip", "address")
    assert ENDPOINT not in shown and names.host_link(CLIENT) not in shown
    assert ENDPOINT not in await world.run("vpc-a", "nft", "list", "ruleset")
    assert names.wire_link(joined.id) in shown, "a wire is not its VPC's to remove"


async def test_a_link_that_has_gone_by_itself_needs_no_removal(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    await namespaces.remove_link(world.namespace("vpc-a"), "gone")
    with pytest.raises(KernelError):
        await namespaces.remove_link(world.namespace("vpc-a"), "lo")


async def test_names_exist_inside_their_vpc_only(world: World) -> None:
    await world.link()
    assert await resolve(world, CLIENT, NAME) == (NO_ERROR, [ENDPOINT])
    assert await resolve(world, CLIENT, NAME.upper()) == (NO_ERROR, [ENDPOINT])
    assert await resolve(world, CLIENT, "empty.example.com") == (NO_ERROR, [])
    assert await resolve(world, CLIENT, "unknown.example.com") == (NO_SUCH_NAME, [])
    assert await resolve(world, CLIENT, "localhost") == (NO_SUCH_NAME, [])
    assert await resolve(world, FIRST, NAME) == (NO_SUCH_NAME, [])


async def test_several_addresses_take_turns_and_changes_are_seen_at_once(world: World) -> None:
    await world.link()
    both = ("10.0.0.50", "10.0.0.51")
    vpc = replace(consumer(), names=(Name(name=NAME, addresses=both),))
    assert await world.kernel.converge_vpc(vpc, [wire()], [])
    await eventually(lambda: resolve(world, CLIENT, NAME), lambda answer: sorted(answer[1]) == sorted(both))
    first = {(await resolve(world, CLIENT, NAME))[1][0] for _ in range(8)}
    assert first == set(both)


async def test_only_hosts_may_ask_and_only_for_names(world: World) -> None:
    await world.link()
    with pytest.raises(TimeoutError):
        await resolve(world, "vpc-b", NAME, "169.254.8.0", 0.5)
    with pytest.raises((TimeoutError, OSError)):
        await world.connect(CLIENT, RESOLVER, 22, 0.3)
    with await world.connect(CLIENT, RESOLVER, 53):
        pass


async def test_hosts_of_a_vpc_reach_each_other_and_no_one_sends_as_another(world: World) -> None:
    await world.link()
    await world.serve(FIRST)
    assert await world.greeting(SECOND, "10.0.0.10") == "i-first"
    await world.run(SECOND, "ip", "address", "add", "10.0.0.77/32", "dev", "lo")
    made = await world.inside(SECOND, partial(socket.create_connection, ("10.0.0.10", 5432), 30))
    made.close()
    with pytest.raises(TimeoutError):
        await world.inside(SECOND, partial(socket.create_connection, ("10.0.0.10", 5432), 0.3, ("10.0.0.77", 0)))


async def test_arp_for_a_neighbour_is_answered_at_once(world: World) -> None:
    await world.link()
    await world.serve(FIRST)
    loop, more = asyncio.get_running_loop(), []
    for _ in range(5):
        await world.run(SECOND, "ip", "neigh", "flush", "all")
        times = [loop.time()]
        for _ in ("it has to ask", "it knows"):
            assert await world.greeting(SECOND, "10.0.0.10") == "i-first"
            times.append(loop.time())
        more.append((times[1] - times[0]) - (times[2] - times[1]))
    assert statistics.median(more) < 0.1, "the kernel's own delay for proxied answers is up to 0.8 s"


async def test_a_hundred_listeners_are_one_table(world: World, caplog: pytest.LogCaptureFixture) -> None:
    ports = range(6000, 6100)
    joined = wire(*ports)
    await world.link(b=provider(*(listener("10.0.0.10", port=port) for port in ports)), joined=joined)
    await world.serve(FIRST)
    assert await world.greeting(CLIENT, port=6099) == "i-first"
    rules = await world.run("vpc-a", "nft", "list", "chain", "ip", "tieline", "arrive")
    assert rules.count("dnat") == 1


async def test_a_name_that_outlived_its_namespace_is_used_again(world: World) -> None:
    """As after a reboot of a machine whose /run is on a disk."""
    stale = names.path(world.namespace("vpc-a"))
    stale.parent.mkdir(exist_ok=True)
    stale.touch()
    assert await world.kernel.converge_vpc(consumer())
    assert ENDPOINT in await world.run("vpc-a", "ip", "address")


async def test_a_removed_vpc_leaves_nothing(world: World) -> None:
    await world.link()
    await world.kernel.remove_vpc("vpc-a")
    assert not names.path(world.namespace("vpc-a")).exists()
    assert (await world.kernel.observe()).vpcs == {"vpc-b"}
    assert names.wire_link("vpce-1") not in await world.run("vpc-b", "ip", "link")
    assert not list(Path("/run", world.prefix).rglob("vpc-a"))


async def resolve(
    world: World, id: str, name: str, server: str = RESOLVER, seconds: float = 30
) -> tuple[int, list[str]]:
    """The status and the addresses that a resolver answers a host with; raises TimeoutError."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 1, 1)
    return await world.inside(id, partial(_ask, question, server, seconds))


def _ask(question: bytes, server: str, seconds: float) -> tuple[int, list[str]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(seconds)
        asking.sendto(question, (server, 53))
        answer = asking.recv(4096)
    records = answer[len(question) :]
    return answer[3] & 15, [socket.inet_ntoa(records[at + 12 : at + 16]) for at in range(0, len(records), 16)]


async def eventually(ask: Callable[[], Awaitable[T]], wanted: Callable[[T], bool]) -> None:
    """A signal is handled a moment after it was sent."""
    async with asyncio.timeout(30):
        while not wanted(await ask()):
            await asyncio.sleep(0.01)


CHAOS = """
import socket, struct, sys
for name in ("version.bind", "authors.bind", "servers.bind", "copyright.bind"):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(5)
    asked = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, 16, 3)  # TXT, CHAOS
    made.sendto(asked, (sys.argv[1], 53))
    print(name, struct.unpack("!H", made.recv(512)[6:8])[0])
"""


async def test_the_resolver_does_not_tell_what_it_is(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    said = await world.run(CLIENT, sys.executable, "-c", CHAOS, RESOLVER)
    assert [line.split()[1] for line in said.splitlines()] == ["0"] * 4, said  # not one answer
