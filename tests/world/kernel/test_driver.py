"""Who may not drive the kernel is told so in one line, and calls at once do not disturb each other."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from tieline.fabric.core.topology import Vpc, Wire
from tieline.fabric.kernel.system import names, processes
from world.kernel.conftest import CLIENT, FIRST, World, consumer, provider, wire

pytestmark = pytest.mark.world
PROGRAM = """
import asyncio, pathlib
from tieline.fabric.kernel.system.commands import KernelUnavailable
from tieline.fabric.kernel.driver import Kernel
try:
    asyncio.run(Kernel("tl-none", pathlib.Path("/nowhere")).observe())
except KernelUnavailable as error:
    print(error)
"""


@pytest.mark.parametrize(("dropped", "named"), [("-net_admin", "CAP_NET_ADMIN"), ("-sys_admin", "CAP_SYS_ADMIN")])
def test_without_the_capabilities_one_line_says_what_is_needed(dropped: str, named: str) -> None:
    argv = ("setpriv", "--bounding-set", dropped, "--inh-caps", dropped, sys.executable, "-c", PROGRAM)
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stderr == "" and len(done.stdout.splitlines()) == 1
    assert named in done.stdout and "root" in done.stdout


async def test_many_vpcs_and_wires_at_once(world: World) -> None:
    """Eight consumers, all 10.0.0.0/16, of one service."""
    wires = [numbered(n) for n in range(8)]
    await asyncio.gather(
        world.kernel.converge_vpc(provider(), [], wires),
        *(world.kernel.converge_vpc(other(n), [wires[n]]) for n in range(8)),
    )
    await asyncio.gather(*(world.kernel.converge_wire(one) for one in wires))
    await world.serve(FIRST)
    assert await asyncio.gather(*(world.greeting(f"{CLIENT}{n}") for n in range(8))) == ["i-first"] * 8
    observed = await world.kernel.observe()
    assert observed.vpcs == {"vpc-b", *(f"vpc-{n}" for n in range(8))}
    assert observed.wires == {one.id: one for one in wires}


# Stands before the real program on PATH: it only looks once a file has gone.
LATE = """#!/bin/sh
case "$*" in *" -j "*) : > {reached}; while [ -e {hold} ]; do sleep 0.01; done ;; esac
exec {program} "$@"
"""


async def test_a_vpc_that_goes_while_all_is_looked_at_is_damage_and_no_failure(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = await world.link()
    await processes.end(processes.found(processes.within(names.path(world.namespace("vpc-a")))))
    program, hold, reached = shutil.which("ip"), tmp_path / "hold", tmp_path / "reached"
    (tmp_path / "ip").write_text(LATE.format(program=program, hold=hold, reached=reached))
    (tmp_path / "ip").chmod(0o755)
    hold.touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    looking = asyncio.create_task(world.kernel.observe())
    async with asyncio.timeout(30):
        while not reached.exists():
            await asyncio.sleep(0.01)
    subprocess.run([str(program), "netns", "delete", world.namespace("vpc-a")], check=True)
    hold.unlink()
    assert (await looking).damaged == {joined.id}


def numbered(n: int) -> Wire:
    one = wire(id=f"vpce-{n}", ends=(f"vpc-{n}", "vpc-b"))
    crossing = replace(one.crossings[0], near=f"169.254.8.{2 * n}", far=f"169.254.8.{2 * n + 1}")
    return replace(one, crossings=(crossing,))


def other(n: int) -> Vpc:
    vpc = consumer(f"vpc-{n}")
    return replace(vpc, hosts=(replace(vpc.hosts[0], id=f"{CLIENT}{n}"),))
