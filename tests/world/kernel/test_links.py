"""What an instance leaves behind in its layer, links above all, leads its next start to no file of the machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tieline.fabric.kernel.instance import starts
from tieline.fabric.kernel.instance.starts import FREE, LONGEST_PAUSE, SHORT, Resting, begin, pause
from tieline.fabric.kernel.system import processes
from tieline.fabric.kernel.system.commands import KernelError
from world.kernel.conftest import CLIENT, World, consumer
from world.kernel.test_instance import finished, machine, tree, until

pytestmark = pytest.mark.world
SCRIPTS = "/var/lib/cloud/instance/scripts"
END = "prlimit --pid 1 --fsize=0:0"  # process 1 cannot write that the script has ended, and ends
# What a hostile script does before it has its process 1 end; {out} is a directory of the machine.
ATTACKS = {
    "scripts": f"rm -rf {SCRIPTS}; ln -s {{out}} {SCRIPTS}",
    "relative": f"rm -rf {SCRIPTS}; ln -s ../../../../../../../../../../..{{out}} {SCRIPTS}",
    "instance": "rm -rf /var/lib/cloud/instance; ln -s {out} /var/lib/cloud/instance",
    "cloud": "rm -rf /var/lib/cloud; ln -s {out} /var/lib/cloud",
    "by proc": f"rm -rf {SCRIPTS}; ln -s /proc/1/root{{out}} {SCRIPTS}",
    "by cwd": f"rm -rf {SCRIPTS}; ln -s /proc/self/cwd {SCRIPTS}",
    "script": f"rm -f {SCRIPTS}/part-001; ln -s {{out}}/part-001 {SCRIPTS}/part-001",
    "hard link": f"rm -f {SCRIPTS}/part-001; ln /etc/hostname {SCRIPTS}/part-001",
    "pipe": f"rm -f {SCRIPTS}/part-001 /etc/hosts; mkfifo {SCRIPTS}/part-001 /etc/hosts",
    "directory": "rm -f /etc/hostname; mkdir -p /etc/hostname/full",
    "file": f"rm -rf {SCRIPTS}; touch {SCRIPTS}",
    "settings": "rm -f /etc/hosts /etc/hostname; ln -s {out}/hosts /etc; ln -s {out}/hostname /etc; rm -rf /etc/ssl",
    "data": "mv /srv /gone; ln -s {out} /srv; rm -rf /home; ln -s {out} /home; rm -rf /mnt; ln -s {out} /mnt",
    "log": "rm -rf /var/log; ln -s {out} /var/log; rm -rf /var/tmp; ln -s {out} /var/tmp",
}


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """A directory of the machine's, with what the instance's start would write, own or remove in one of its own."""
    directory = tmp_path / "out"
    for inside in ("lib", "lib/dpkg", "lib/apt", "log", "tmp", "cloud/instance/scripts", "instance/scripts", "scripts"):
        (directory / inside).mkdir(parents=True, exist_ok=True)
        (directory / inside).chmod(0o751)
        os.chown(directory / inside, 12, 34)
    for name in ("part-001", "hostname", "hosts", "resolv.conf", "passwd", "shadow", "scripts/part-001"):
        (directory / name).write_text("the machine's own")
        (directory / name).chmod(0o640)
    yield directory


def snapshot(directory: Path) -> dict[str, object]:
    """Everything of a directory that a start could change."""
    found: dict[str, object] = {}
    for path in (directory, *sorted(directory.rglob("*"))):
        one = path.lstat()
        content = path.read_text() if stat.S_ISREG(one.st_mode) else ""
        attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
        found[str(path)] = (one.st_mode, one.st_uid, one.st_gid, one.st_nlink, one.st_ino, content, attributes)
    return found


@pytest.mark.parametrize("attack", ATTACKS)
async def test_no_link_of_an_instance_leads_its_next_start_out(world: World, out: Path, attack: str) -> None:
    script = f"{ATTACKS[attack].format(out=out)}\n{END}\n"
    await world.kernel.converge_vpc(consumer())
    before = snapshot(out)
    await world.kernel.converge_instance(machine(script), consumer())
    await until(lambda: not world.kernel.instance_running(CLIENT))
    try:
        await world.kernel.converge_instance(machine("echo again"), consumer())
    except KernelError as error:
        assert "InTheWay" in error.stderr, error  # it says what stands in its way
    else:
        assert "again" in await finished(world)
    assert snapshot(out) == before


async def test_a_start_waits_longer_each_time_that_the_last_one_did_not_last(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    for _ in range(FREE + 1):
        await world.kernel.converge_instance(machine(END), consumer())
        await until(lambda: not world.kernel.instance_running(CLIENT))
    with pytest.raises(Resting, match=f"{FREE + 1} times in a row"):
        await world.kernel.converge_instance(machine("echo hello"), consumer())
    assert tree(world) == []


async def test_a_start_that_fails_counts_as_one_that_did_not_last(world: World) -> None:
    place = world.state / "instances" / CLIENT
    place.mkdir(parents=True)
    (place / "root").write_text("in the way")
    await world.kernel.converge_vpc(consumer())
    for _ in range(FREE + 1):
        with pytest.raises(KernelError):
            await world.kernel.converge_instance(machine("echo hello"), consumer())
    with pytest.raises(Resting):
        await world.kernel.converge_instance(machine("echo hello"), consumer())


def test_the_pauses_grow_to_a_bound_and_end_with_a_life_that_lasts(tmp_path: Path) -> None:
    pauses = [pause(short) for short in range(20)]
    assert pauses[: FREE + 1] == [0.0] * (FREE + 1) and pauses == sorted(pauses) and pauses[-1] == LONGEST_PAUSE
    now = 1000.0
    for short in range(12):
        begin(tmp_path, now)
        if pause(short + 1) > 0:
            with pytest.raises(Resting):
                begin(tmp_path, now + pause(short + 1) / 2)
        now += pause(short + 1)
    begin(tmp_path, now + SHORT + 1)
    begin(tmp_path, now + SHORT + 2)
    begin(tmp_path, now - 10_000)  # a clock that was set back holds nothing up
    (tmp_path / starts.FILE).write_text("{")
    begin(tmp_path, now)


async def test_what_it_is_told_at_its_start_is_for_root_alone(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine("echo hello"), consumer())
    await finished(world)
    place = world.state / "instances" / CLIENT
    for path in (place, place / "specification.json", place / "console.log"):
        assert path.stat().st_mode & 0o077 == 0, path
    await processes.end(tree(world))
