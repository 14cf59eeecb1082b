"""An instance's root is nobody's root: its ids are of a user namespace of its own, where files can be shown so."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from tieline.fabric.kernel.instance import users
from tieline.fabric.kernel.instance.space import IDS, NOT_HERE
from tieline.fabric.kernel.instance.users import FIRST, RANGES
from tieline.fabric.kernel.system import processes
from world.kernel.conftest import CLIENT, World, consumer, host
from world.kernel.test_instance import finished, footprint, machine, tree, until

pytestmark = pytest.mark.world
# Each of these is counted by user, and a user has few (fs.inotify.max_user_instances, 128 as a rule).
HOARD = """
import ctypes, time
libc = ctypes.CDLL(None)
held = 0
while libc.inotify_init() >= 0: held += 1
print("held", held, flush=True)
time.sleep(1000)
"""


def owners(world: World) -> set[int]:
    """Whose the instance's processes are on the machine."""
    return {int(processes._status(one.pid, "Uid")[0]) for one in tree(world)}


@pytest.fixture
async def own_ids(world: World) -> int:
    """A VPC with an instance's network, and the first of the instance's ids on the machine; skips where it has none."""
    await world.kernel.converge_vpc(consumer())
    ranges = list((footprint(world).runtime / "ids").glob("*"))
    assert [str(one.readlink()) for one in ranges] == [CLIENT]
    await world.kernel.converge_instance(machine("sleep 1000"), consumer())
    if owners(world) == {0}:
        pytest.skip("the filesystems of this machine cannot show files with other ids")
    return FIRST + int(ranges[0].name) * IDS


async def test_its_root_is_nobodys_and_its_users_are_its_own(world: World, own_ids: int) -> None:
    assert owners(world) == {own_ids} and FIRST <= own_ids < FIRST + RANGES * IDS
    await world.kernel.stop_instance(CLIENT)
    assert list((footprint(world).runtime / "ids").iterdir()) == []
    script = "id -u; touch /mnt/own /srv/own; chown 33 /srv/own; chmod u+s /srv/own; stat -c %u /etc/passwd /srv/own"
    await world.kernel.converge_instance(machine(script), consumer())
    assert (await finished(world)).splitlines()[:3] == ["0", "0", "33"]
    upper = world.state / "instances" / CLIENT / "layers/upper"
    assert (upper / "mnt/own").stat().st_uid == 0 and (upper / "srv/own").stat().st_uid == 33


async def test_what_it_hoards_is_its_own(world: World, own_ids: int) -> None:
    await world.kernel.stop_instance(CLIENT)
    await world.kernel.converge_instance(machine(HOARD, "/usr/bin/env python3"), consumer())
    await until(lambda: "held" in world.kernel.console_output(CLIENT))
    assert int(world.kernel.console_output(CLIENT).split()[1]) > 50
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init()
    assert handle >= 0, "the machine's root has as many as before"
    os.close(handle)


async def test_each_instance_has_other_ids(world: World, own_ids: int) -> None:
    both = replace(consumer(), hosts=(*consumer().hosts, host("i-other", "10.0.0.12")))
    await world.kernel.converge_vpc(both)
    ranges = {str(one.readlink()): one.name for one in (footprint(world).runtime / "ids").iterdir()}
    assert len(set(ranges.values())) == 2 and set(ranges) == {CLIENT, "i-other"}
    await world.kernel.stop_instance("i-other")


async def test_where_files_cannot_be_shown_so_it_has_the_machines_ids(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As with a filesystem that cannot; and what such an instance has written is its own when the machine can."""
    monkeypatch.setattr(users, "shown", lambda _: ["/", "/proc"])
    monkeypatch.setattr(users, "_told", set())
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine("echo kept > /srv/kept; chmod 600 /srv/kept"), consumer())
    await finished(world)
    assert owners(world) == {0} and "share the machine's user ids" in caplog.text
    place = footprint(world).instances / CLIENT
    kept = place.rename(place.with_name("kept"))
    await world.kernel.stop_instance(CLIENT)
    monkeypatch.undo()
    kept.rename(place)
    (place / "console.log").unlink()
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine("cat /srv/kept; stat -c %u /srv/kept"), consumer())
    assert (await finished(world)).splitlines()[:2] == ["kept", "0"]


def test_a_machine_without_user_namespaces_is_told_from_one_that_fails() -> None:
    """As where user.max_user_namespaces is 0: the program says why, soon, and leaves nothing."""
    name = "/run/netns/never-made"
    program = [sys.executable, "-I", "-S", "-B", str(users.PROGRAM), name, str(FIRST), "/"]
    within = ["unshare", "--user", "--map-root-user", *program]  # in which the ids are not mapped
    done = subprocess.run(within, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == NOT_HERE and "user namespace" in done.stderr
    assert not Path(name).exists()


async def test_ids_that_are_taken_are_not_given_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "RANGES", 3)
    taken = [users._claim(footprint(world), f"i-{n}") for n in range(3)]
    assert sorted(taken) == [0, 1, 2]
    with pytest.raises(Exception, match="taken"):
        users._claim(footprint(world), "i-4")
    assert users._claim(footprint(world), "i-1") == taken[1], "its own is found again"
    users.forget(footprint(world), "i-0")
    assert users._claim(footprint(world), "i-4") == taken[0]
    assert Path(footprint(world).runtime, "ids").stat().st_mode & 0o077 == 0
