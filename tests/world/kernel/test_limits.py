"""An instance that takes all it gets: it is bounded or ends, alone, and the fabric and its neighbours go on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tieline.fabric.core import sizes
from tieline.fabric.core.sizes import Size
from tieline.fabric.kernel import privileges
from tieline.fabric.kernel.instance import control_groups, instances
from tieline.fabric.kernel.instance.boot import FIRST_TO_GO, PROCESSES, counts_processes
from tieline.fabric.kernel.system import processes
from world.kernel.conftest import CLIENT, FIRST, World, consumer
from world.kernel.test_instance import finished, footprint, machine, tree, until

pytestmark = pytest.mark.world
SYS_RESOURCE = 24  # linux/capability.h
MANY = PROCESSES + 1000  # threads: where nothing bounds them, this does
BOMB = f"""
import threading, time
ends = threading.Event()
try:
    for count in range({MANY}):
        threading.Thread(target=ends.wait, daemon=True).start()
except RuntimeError:
    pass
print("threads:", count, flush=True)
time.sleep(1000)
"""
MEBIBYTES = 400  # of a group that stands for the machine
HELD = 200  # by a neighbour: more than a hog has when nothing is left
HOG = f"""
import os, time
print("waits", flush=True)
while not os.path.exists("/tmp/go"):
    time.sleep(0.02)
held = [os.urandom(1 << 20) for _ in range({2 * MEBIBYTES})]
"""
NEIGHBOUR = f"""
import os, sys
for line in sys.stdin:
    held = [os.urandom(1 << 20) for _ in range({HELD})] if line == "hold\\n" else held
    print("holds", flush=True)
"""
# The files of a group of each version of control groups, and what is written to them.
GROUPS = (
    (Path("/sys/fs/cgroup"), {"memory.swap.max": "0", "memory.max": f"{MEBIBYTES}M"}),
    (Path("/sys/fs/cgroup/memory"), {"memory.swappiness": "0", "memory.limit_in_bytes": f"{MEBIBYTES}M"}),
)


def test_a_linux_that_counts_processes_by_namespace_is_known_by_its_release() -> None:
    assert all(map(counts_processes, ("6.14", "6.14.0-rc1", "6.18.44-generic", "7.0+")))
    assert not any(map(counts_processes, ("6.13.9", "6.1+", "5.15.0-91-generic", "")))


@pytest.mark.skipif(not counts_processes(os.uname().release), reason="this Linux counts none by pid namespace")
async def test_its_processes_are_bounded_and_its_neighbours_go_on(world: World) -> None:
    before = Path("/proc/sys/kernel/pid_max").read_text()
    await world.link()
    await world.kernel.converge_instance(machine(BOMB, "/usr/bin/env python3"), consumer())
    await until(lambda: "threads:" in world.kernel.console_output(CLIENT))
    count = int(world.kernel.console_output(CLIENT).partition("threads:")[2].split()[0])
    assert PROCESSES - 100 < count < PROCESSES
    assert Path("/proc/sys/kernel/pid_max").read_text() == before, "the machine's own bound is what it was"
    await world.serve(FIRST)
    assert await world.greeting(CLIENT) == "i-first"
    await world.kernel.stop_instance(CLIENT)
    assert tree(world) == []


async def test_it_cannot_put_itself_behind_others_when_memory_ends(world: World) -> None:
    await world.kernel.converge_vpc(consumer())
    script = "cat /proc/$$/oom_score_adj; (echo 0 > /proc/$$/oom_score_adj) 2> /dev/null; cat /proc/$$/oom_score_adj"
    await world.kernel.converge_instance(machine(script), consumer())
    first, then = (await finished(world)).split()[:2]
    assert first == str(FIRST_TO_GO)
    assert then == first or SYS_RESOURCE not in privileges._held(), "set by who holds that, it cannot be lowered"


async def test_a_hog_ends_alone_when_memory_ends(world: World, prefix: str) -> None:
    await world.kernel.converge_vpc(consumer())
    script = f"python3 -c '{HOG}'\necho the hog ended with $?"
    await world.kernel.converge_instance(machine(script), consumer())
    await until(lambda: "waits" in instances.console(footprint(world), CLIENT))
    program = [sys.executable, "-c", NEIGHBOUR]
    with (
        small_machine(prefix) as group,
        subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as neighbour,
    ):
        for pid in (neighbour.pid, *(process.pid for process in tree(world))):
            (group / "cgroup.procs").write_text(str(pid))
        assert said(neighbour, "hold") == "holds"
        (init,) = [process for process in tree(world) if processes.is_init(process.pid)]
        Path(f"/proc/{init.pid}/root/tmp/go").touch()
        assert "the hog ended with 137" in await finished(world)  # by SIGKILL
        assert said(neighbour, "still") == "holds"
        assert world.kernel.instance_running(CLIENT)
        await world.kernel.stop_instance(CLIENT)
        assert neighbour.stdin is not None
        neighbour.stdin.close()
        neighbour.wait()


@contextmanager
def small_machine(name: str) -> Iterator[Path]:
    """A control group with little memory and no swapping; skips the test where none can be made."""
    for place, settings in GROUPS:
        group = place / name
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / list(settings)[-1]).exists():
                for file, value in settings.items():
                    (group / file).write_text(value)
                yield group
                return
        finally:
            group.rmdir()
    pytest.skip("no control group for memory can be made here")


def said(neighbour: subprocess.Popen[str], line: str) -> str:
    assert neighbour.stdin is not None and neighbour.stdout is not None
    neighbour.stdin.write(f"{line}\n")
    neighbour.stdin.flush()
    return neighbour.stdout.readline().strip()


EATER = """
held = []
for count in range({most}):
    held.append(bytearray(1 << 20))
    for page in range(0, 1 << 20, 4096):
        held[-1][page] = 1
print("held everything")
"""


def test_what_a_group_is_told_is_the_types_size_and_never_more_than_the_machines() -> None:
    machines = Size(2, 4096)
    nano, large = sizes.of("t3.nano"), sizes.of("m5.4xlarge")
    assert control_groups.settings(nano, machines, 2) == {
        "memory.max": str(512 << 20),
        "memory.swap.max": "0",
        "cpu.max": "max 100000",
        "pids.max": "4096",
    }
    one = control_groups.settings(sizes.of("m7g.medium"), machines, 1)
    assert one["cpu.cfs_quota_us"] == "100000" and one["memory.limit_in_bytes"] == str(4096 << 20)
    assert control_groups.settings(large, machines, 2)["memory.max"] == str(4096 << 20)
    assert control_groups.settings(None, machines, 2)["memory.max"] == str(3277 << 20)


V1 = "30 20 0:26 / /sys/fs/cgroup/{0} rw - cgroup cgroup rw,{0}\n"
V2 = "25 20 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


def test_each_version_of_control_groups_is_known() -> None:
    found = control_groups.hierarchies(V1.format("memory") + V1.format("cpu,cpuacct") + V1.format("freezer"), {})
    assert [(one.place.name, one.version, one.controllers) for one in found] == [
        ("memory", 1, ("memory",)),
        ("cpu,cpuacct", 1, ("cpu",)),
    ]
    found = control_groups.hierarchies(V2, {"/sys/fs/cgroup": "cpuset cpu io memory pids\n"})
    assert [(one.version, one.controllers) for one in found] == [(2, ("memory", "cpu", "pids"))]
    assert control_groups.hierarchies(V2, {"/sys/fs/cgroup": ""}) == []


needs_memory_groups = pytest.mark.skipif(
    not any("memory" in one.controllers and os.access(one.place, os.W_OK) for one in control_groups.here()),
    reason="this machine has no control groups for memory that can be written to",
)


@needs_memory_groups
async def test_an_instance_has_no_more_memory_than_its_type(world: World) -> None:
    program = EATER.format(most=700)
    script = f"python3 -c '{program}'\necho the eater ended with $?; cat /proc/self/cgroup"
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(msgspec.structs.replace(machine(script), size=sizes.of("t3.nano")), consumer())
    said = await finished(world)
    assert "the eater ended with 137" in said and "held everything" not in said
    assert world.prefix not in said, "it sees its own group as the root of all"
    groups = [one.place / world.prefix / CLIENT for one in control_groups.here()]
    assert any(group.is_dir() for group in groups)
    await world.kernel.stop_instance(CLIENT)
    assert not any(group.exists() for group in groups)


async def test_it_cannot_reach_its_group(world: World) -> None:
    script = (
        "ls -A /sys/fs/cgroup 2> /dev/null; mkdir /tmp/g; mount -t cgroup2 none /tmp/g 2> /dev/null && echo MOUNTED"
    )
    script += "; mount -t cgroup -o memory none /tmp/g 2> /dev/null && echo MOUNTED"
    await world.kernel.converge_vpc(consumer())
    await world.kernel.converge_instance(machine(script), consumer())
    said = await finished(world)
    assert "MOUNTED" not in said and "memory" not in said
