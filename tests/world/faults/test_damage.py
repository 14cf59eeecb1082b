"""Damage of every kind, done by hand under a running fabric, is mended within 5 s, and nothing else is touched."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from servers import free_port
from tieline.fabric.daemon.meter import SECONDS as METER_SECONDS
from tieline.fabric.kernel.system.names import host_link, wire_link
from world.faults.fabric import Fabric
from world.faults.linked import PORT, Linked, run
from world.running import until

pytestmark = pytest.mark.world
SECONDS = 5.0  # from the damage until everything works again
LOOKS = 20  # of those that tell so take as long at rest: where a look takes longer, so may this


@pytest.fixture(scope="module")
def linked(fabric: Fabric) -> Iterator[Linked]:
    made = Linked(fabric)
    until(made.works)
    tag = {"Key": "tieline:ingress", "Value": f"127.0.0.1:{free_port()}->{PORT}"}
    fabric.account("platform").ec2.create_tags(Resources=[made.client], Tags=[tag])
    until(lambda: any("forwarder.py" in entry for entry in made.writes(0)))
    yield made


def remove_wire(linked: Linked) -> None:
    run("ip", "-n", linked.space(linked.provider), "link", "del", wire_link(linked.endpoint))


def lower_wire(linked: Linked) -> None:
    run("ip", "-n", linked.space(linked.consumer), "link", "set", wire_link(linked.endpoint), "down")


def remove_wire_address(linked: Linked) -> None:
    run("ip", "-n", linked.space(linked.consumer), "address", "flush", "dev", wire_link(linked.endpoint))


def remove_endpoint_address(linked: Linked) -> None:
    argv = ("ip", "-n", linked.space(linked.consumer), "address", "del", f"{linked.address}/32", "dev", "lo")
    run(*argv)


def remove_host_link(linked: Linked) -> None:
    run("ip", "-n", linked.space(linked.provider), "link", "del", host_link(linked.server))


def remove_host_address(linked: Linked) -> None:
    run("ip", "-n", linked.space(linked.server), "address", "flush", "dev", "eth0")


def remove_host_route(linked: Linked) -> None:
    run("ip", "-n", linked.space(linked.client), "route", "del", "default")


def remove_table(linked: Linked) -> None:
    nft(linked, linked.consumer, "delete", "table", "ip", "tieline")


def remove_elements(linked: Linked) -> None:
    nft(linked, linked.provider, "flush", "map", "ip", "tieline", "arrivals")


def nft(linked: Linked, vpc: str, *argv: str) -> None:
    run("nsenter", f"--net=/run/netns/{linked.space(vpc)}", "--", "nft", *argv)


def kill_resolver(linked: Linked) -> None:
    for pid in linked.within(linked.consumer):
        with suppress(ProcessLookupError):  # a command of the fabric's may be in there, and end
            os.kill(pid, signal.SIGKILL)


def remove_namespace(linked: Linked) -> None:
    kill_resolver(linked)
    run("ip", "netns", "delete", linked.space(linked.consumer))


def kill_forwarder(linked: Linked) -> None:
    """Its first argument says whose it is (kernel/passages.py)."""
    marks = (linked.tieline.prefix.encode(), b"forwarder.py")
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if all(mark in entry.read_bytes() for mark in marks):
                os.kill(int(entry.parent.name), signal.SIGKILL)


def kill_instance(linked: Linked) -> None:
    os.kill(linked.init(linked.client), signal.SIGKILL)


# What is done, and what at least one of is named in each command that mends it.
DAMAGE: dict[Callable[[Linked], None], Callable[[Linked], tuple[str, ...]]] = {
    remove_wire: lambda linked: (wire_link(linked.endpoint),),
    lower_wire: lambda linked: (wire_link(linked.endpoint),),
    remove_wire_address: lambda linked: (wire_link(linked.endpoint),),
    remove_endpoint_address: lambda linked: (f"address add {linked.address}/32 dev lo",),
    remove_host_link: lambda linked: (host_link(linked.server), "dev eth0"),
    remove_host_address: lambda linked: ("dev eth0",),
    remove_host_route: lambda linked: ("route replace default",),
    remove_table: lambda linked: (f"{linked.space(linked.consumer)} -- nft -f -",),
    remove_elements: lambda linked: (f"{linked.space(linked.provider)} -- nft -f -",),
    kill_resolver: lambda linked: (f"{linked.space(linked.consumer)} -- dnsmasq",),
    remove_namespace: lambda linked: (
        linked.space(linked.consumer),
        linked.space(linked.client),
        wire_link(linked.endpoint),
    ),
    kill_forwarder: lambda linked: ("forwarder.py",),
    kill_instance: lambda linked: ("boot.py",),
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_mended_and_nothing_else_is_touched(linked: Linked, damage: Callable[[Linked], None]) -> None:
    until(linked.quiet)
    before, began = linked.logged(), time.monotonic()
    damage(linked)
    until(lambda: linked.writes(before))
    until(linked.works)
    took = time.monotonic() - began
    until(linked.quiet)
    named = DAMAGE[damage](linked)
    assert [entry for entry in linked.writes(before) if not any(name in entry for name in named)] == []
    began = time.monotonic()
    assert linked.works()
    assert took < max(SECONDS, LOOKS * (time.monotonic() - began))


def test_a_fabric_that_nothing_happens_to_runs_no_command(linked: Linked) -> None:
    """The log has what changes; what only reads is seen as processor time of the children."""
    until(linked.quiet)
    process = linked.tieline.process
    assert process is not None
    until(lambda: _rests(process.pid), seconds=120)  # once what moved last has been counted


def _rests(pid: int) -> bool:
    """No command for longer than any interval of the fabric's own."""
    before = _children_ticks(pid)
    time.sleep(METER_SECONDS + 1.5)
    return _children_ticks(pid) == before


def _children_ticks(pid: int) -> int:
    """User and system time of all children that have ended (proc(5), fields 16 and 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[13]) + int(fields[14])
