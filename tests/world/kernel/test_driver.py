"""Who may not drive the kernel is told so in one line, and calls at once do not disturb each other."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from msgspec.structs import replace

from tieline.fabric.topology import Vpc, Wire
from world.kernel.conftest import CLIENT, FIRST, World, consumer, provider, wire

pytestmark = pytest.mark.world
PROGRAM = """
import asyncio, pathlib
from tieline.fabric.kernel.commands import KernelUnavailable
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


def numbered(n: int) -> Wire:
    one = wire(id=f"vpce-{n}", ends=(f"vpc-{n}", "vpc-b"))
    crossing = replace(one.crossings[0], near=f"169.254.8.{2 * n}", far=f"169.254.8.{2 * n + 1}")
    return replace(one, crossings=(crossing,))


def other(n: int) -> Vpc:
    vpc = consumer(f"vpc-{n}")
    return replace(vpc, hosts=(replace(vpc.hosts[0], id=f"{CLIENT}{n}"),))
