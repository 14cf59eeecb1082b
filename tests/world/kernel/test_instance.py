"""An instance runs its boot script in a root, a process tree and a network of its own, and outlives its maker."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tieline.fabric.core.topology import Instance
from tieline.fabric.kernel.driver import Kernel
from tieline.fabric.kernel.instance import instances
from tieline.fabric.kernel.system import names, processes
from tieline.fabric.kernel.system.commands import KernelError
from world.kernel.conftest import CLIENT, ENDPOINT, FIRST, NAME, RESOLVER, World, consumer, provider

pytestmark = pytest.mark.world


def machine(script: str, interpreter: str = "/bin/sh") -> Instance:
    host = consumer().hosts[0]
    return Instance(
        id=CLIENT, vpc="vpc-a", host=host, hostname="ip-10-0-0-10", user_data=f"#!{interpreter}\n{script}\n"
    )


async def test_the_boot_script_runs_in_its_own_root(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "leaked")
    mark = f"/etc/{world.prefix}"
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(
        machine(f"touch {mark} && echo made; hostname; cat /etc/hosts /etc/resolv.conf; id -u; env; echo $$"),
        consumer(),
    )
    said = await finished(world)
    assert "made" in said and not Path(mark).exists()
    assert "ip-10-0-0-10\n" in said and "10.0.0.10 ip-10-0-0-10" in said and f"nameserver {RESOLVER}" in said
    environment = {line.split("=")[0] for line in said.splitlines() if "=" in line}
    assert {"PATH", "HOME", "LANG"} <= environment <= {"PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_"}
    assert "leaked" not in said
    assert world.kernel.instance_running(CLIENT)
    assert not await world.kernel.converge_instance(machine("echo again"), consumer())
    assert "again" not in world.kernel.console_output(CLIENT)


async def test_an_installation_below_a_private_directory_is_seen_and_cannot_be_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory, "program").write_text("installed")
        monkeypatch.setattr(sys, "prefix", directory)
        await world.kernel.converge_vpc(consumer())
        script = f"cat {directory}/program; touch {directory}/other || echo kept; ls /tmp"
        await world.kernel.converge_instance(machine(script), consumer())
        said = await finished(world)
        assert "installed" in said and "kept" in said
        assert said.splitlines().count(Path(directory).name) == 1  # and nothing else of the machine's /tmp
        assert not Path(directory, "other").exists()


async def test_its_network_is_its_hosts(world: World) -> None:
    await world.link()
    await world.serve(FIRST)
    script = f"import socket; c = socket.create_connection(('{NAME}', 5432))"
    script += "; print('answer', c.recv(99), c.getpeername()[0])"
    await world.kernel.converge_instance(machine(script, "/usr/bin/env python3"), consumer())
    assert f"answer b'i-first\\n' {ENDPOINT}" in await finished(world)


async def test_its_whole_tree_ends_with_it(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    script = "setsid sleep 1000 & (setsid sh -c 'sleep 1001 & sleep 1002') & echo started; sleep 1003"
    await world.kernel.converge_instance(machine(script), consumer())
    await until(lambda: len(tree(world)) >= 6)
    await world.kernel.stop_instance(CLIENT)
    assert tree(world) == []
    assert not names.path(world.namespace(CLIENT)).exists()
    assert list((world.state / "instances").iterdir()) == []
    assert world.kernel.console_output(CLIENT) == "" and not world.kernel.instance_running(CLIENT)
    await world.kernel.stop_instance(CLIENT)


async def test_its_root_outlives_its_processes(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    counting = machine("echo boot >> /var/lib/boots; wc -l < /var/lib/boots")
    for boots in ("1", "2"):
        assert await world.kernel.converge_instance(counting, consumer())
        assert f"{boots}\ntieline: the boot script ended with status 0" in await finished(world, int(boots))
        await processes.end([process for process in tree(world) if processes.is_init(process.pid)])
        assert not world.kernel.instance_running(CLIENT)


async def test_orphans_are_reaped(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine("for i in 1 2 3; do (sleep 0.05 &) ; done; sleep 0.2"), consumer())
    await finished(world)
    await until(lambda: len(tree(world)) == 1)  # process 1 alone is left
    (init,) = tree(world)
    children = Path(f"/proc/{init.pid}/task/{init.pid}/children")
    await until(lambda: children.read_text() == "")  # and no zombie


async def test_a_script_that_cannot_be_run_says_so(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(replace(machine(""), user_data="#!/no/such/program\n"), consumer())
    assert "the user data cannot be run" in await finished(world)


async def test_a_start_that_fails_says_why(world: World) -> None:
    place = world.state / "instances" / CLIENT
    place.mkdir(parents=True)
    (place / "root").write_text("in the way")
    await world.kernel.converge_vpc(consumer())
    with pytest.raises(KernelError, match="FileExistsError"):
        await world.kernel.converge_instance(machine("echo hello"), consumer())
    (place / "root").unlink()
    assert await world.kernel.converge_instance(machine("echo hello"), consumer())
    assert "hello" in await finished(world)


async def test_it_outlives_its_maker_and_is_found_again(world: World) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from tieline.fabric.kernel.driver import Kernel\n"
        "from tieline.fabric.core.topology import *\n"
        "host = Host(id='i-client', address='10.0.0.10', prefix_length=24, router='10.0.0.1')\n"
        "vpc = Vpc(id='vpc-a', cidrs=('10.0.0.0/16',), resolver='10.0.0.2', hosts=(host,))\n"
        "one = Instance(id='i-client', vpc='vpc-a', host=host, hostname='x', user_data='#!/bin/sh\\nsleep 1000\\n')\n"
        "kernel = Kernel(sys.argv[1], Path(sys.argv[2]))\n"
        "async def main():\n    await kernel.converge_vpc(vpc); await kernel.converge_instance(one, vpc)\n"
        "asyncio.run(main())"
    )
    subprocess.run([sys.executable, "-c", program, world.prefix, str(world.state)], check=True, start_new_session=True)
    assert world.kernel.instance_running(CLIENT)
    observed = await world.kernel.observe()
    assert observed.instances == {CLIENT} and observed.vpcs == {"vpc-a"}
    assert not await world.kernel.converge_instance(machine("echo"), consumer())


async def test_the_console_is_read_from_its_end(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine("yes | head -c 200000; echo the end"), consumer())
    said = await finished(world)
    assert len(said) == instances.CONSOLE_BYTES and "the end" in said


async def test_down_removes_everything_of_this_prefix_and_nothing_else(
    world: World, prefix: str, tmp_path: Path
) -> None:
    neighbour = World(Kernel(f"{prefix}1", tmp_path / "other"), f"{prefix}1", tmp_path / "other")
    try:
        await neighbour.kernel.converge_vpc(provider())
        joined = await world.link()
        await world.kernel.converge_instance(machine("sleep 1000"), consumer())
        await world.kernel.converge_wire(joined)
        # as after a crash that lost the state directory, by one who knows the prefix alone
        (world.state / "instances").rename(tmp_path / "lost")
        await Kernel(prefix, world.state).down()
        assert tree(world) == []
        assert [name.name for name in names.NAMESPACES.glob(f"{prefix}-*")] == []
        assert not Path("/run", prefix).exists() and not world.state.exists()
        assert (await neighbour.kernel.observe()).vpcs == {"vpc-b"}
        assert not await neighbour.kernel.converge_vpc(provider())
    finally:
        await neighbour.kernel.down()


def tree(world: World) -> list[processes.Process]:
    """All processes of the client's instance, by its network namespace."""
    return processes.found(processes.within(names.path(world.namespace(CLIENT))))


async def finished(world: World, times: int = 1) -> str:
    """The console once the boot script has ended."""
    await until(lambda: instances.console(footprint(world), CLIENT).count("the boot script ended") >= times)
    return world.kernel.console_output(CLIENT)


def footprint(world: World) -> names.Footprint:
    return names.Footprint(world.prefix, world.state)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.02)
