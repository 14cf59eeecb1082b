"""Each process of a running tieline and each file that it leaves, started as carelessly as can be."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tieline.cli.home import Home
from world.running import Tieline, until
from world.test_privileges import everybody, status, within, words

pytestmark = pytest.mark.world
NOBODY_ELSE = 0o077
OF_A_SYSTEM = 0o022  # what user data and a broker expect; their files are in a layer that only root reaches
MADE_BY_THE_TEST = {"prefix", "up.log"}


@pytest.fixture(scope="module", params=[0o000, 0o022], ids=["umask 000", "umask 022"])
def careless(
    tmp_path_factory: pytest.TempPathFactory, prefixes: Callable[[], str], request: pytest.FixtureRequest
) -> Iterator[Tieline]:
    """A tieline with a deployment, started with an open umask on a directory that everybody may read."""
    running = Tieline(tmp_path_factory.mktemp("up") / "state", prefixes())
    running.state.chmod(0o755)
    before = os.umask(request.param)
    try:
        running.up()
        os.umask(before)
        client = running.client()
        client.create_deployment(name="plant")
        until(lambda: client.deployment("plant"), lambda found: found.status == "running" and found.agent.broker)
        yield running
    finally:
        os.umask(before)
        running.down()


def own(running: Tieline) -> dict[int, str]:
    """The processes that are this tieline's: by their state directory, their prefix, or their namespace."""
    found = {}
    for pid in everybody():
        command = words(pid)
        if str(running.state) in command or f'"prefix":"{running.prefix}"' in command:
            found[pid] = command
    for namespace in Path("/run/netns").glob(f"{running.prefix}-*"):
        found |= {pid: words(pid) for pid in within(namespace.name)}
    return {pid: command for pid, command in found.items() if command and Path(f"/proc/{pid}").exists()}


def instances(running: Tieline) -> Iterator[int]:
    """The processes inside its instances."""
    for namespace in Path("/run/netns").glob(f"{running.prefix}-i-*"):
        yield from (pid for pid in within(namespace.name) if "forwarder.py" not in words(pid))


def test_no_process_makes_files_for_others_or_leaves_its_memory(careless: Tieline) -> None:
    seen, inside = 0, set(instances(careless))
    for pid, command in own(careless).items():
        with suppress(FileNotFoundError, ProcessLookupError):
            umask = int(status(pid)["Umask"], 8)
            limits = Path(f"/proc/{pid}/limits").read_text()
            core = next(line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core"))
            wanted = OF_A_SYSTEM if pid in inside or "dnsmasq" in command else NOBODY_ELSE
            assert umask & wanted == wanted, command
            assert core[0] == "0", command
            seen += 1
    assert seen >= 6  # tieline up, fabric, platform, process 1, agent, broker


def test_what_stands_in_a_network_can_gain_nothing_and_asks_through_a_filter(careless: Tieline) -> None:
    platform = careless.account("platform").ec2
    instance = platform.describe_instances()["Reservations"][0]["Instances"][0]["InstanceId"]
    inside = {pid: words(pid) for pid in within(careless.namespace(instance))}
    own_code = {pid: command for pid, command in inside.items() if command and "forwarder.py" not in command}
    assert len(own_code) >= 3
    for pid, command in own_code.items():
        with suppress(FileNotFoundError, ProcessLookupError):
            assert status(pid)["Seccomp"] == "2", command  # a filter (proc(5))


def test_no_file_of_the_state_directory_is_for_others(careless: Tieline) -> None:
    open_ones = []
    for directory, directories, files in os.walk(careless.state):
        if Path(directory).name == "instances":  # their layers are what a root inside makes of them
            directories.clear()
        for name in (*directories, *files):
            path = Path(directory, name)
            with suppress(FileNotFoundError):
                found = path.lstat()
                if found.st_mode & NOBODY_ELSE and not stat.S_ISLNK(found.st_mode) and name not in MADE_BY_THE_TEST:
                    open_ones.append(f"{path} {stat.filemode(found.st_mode)}")
    assert stat.S_IMODE(careless.state.stat().st_mode) == 0o700
    assert open_ones == []


def test_others_see_nothing_below_run(careless: Tieline) -> None:
    place = Path("/run", Home(careless.state).prefix)
    assert place.stat().st_mode & NOBODY_ELSE in (0, 0o011)  # entered by the resolvers' user, and not listed
