"""What the processes of a running tieline may do: the daemon what it works with, the platform next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tieline.fabric.daemon.control import Listing, ask
from tieline.fabric.kernel.instance.boot import KEPT as INSTANCE
from tieline.fabric.kernel.privileges import DAEMON, PLATFORM, PLATFORM_GROUP
from world.running import Tieline, until

pytestmark = pytest.mark.world
ATTEMPT = """
import os, signal, sys
from pathlib import Path
from tieline.fabric.kernel.privileges import confine_platform
own, other, victim = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
confine_platform(own)
(own / "file").write_text("fine")
(own / "file").unlink()
import ssl, sqlite3, socket, mimetypes, http.client
ssl.create_default_context()
mimetypes.init()
socket.getaddrinfo("localhost", 80)
told = []
for attempt in (
    lambda: (other / "file").write_text("x"),
    lambda: (other / "kept").unlink(),
    lambda: (other / "kept").open("a"),
    lambda: (other / "kept").read_text(),
    lambda: os.listdir(other),
    lambda: (own / "link").read_text(),
    lambda: Path("/etc/shadow").read_text(),
    lambda: os.listdir("/root"),
    lambda: os.listdir("/"),
    lambda: os.listdir("/var/lib"),
    lambda: Path(f"/proc/{victim}/root/etc/shadow").read_text(),
    lambda: Path(f"/proc/{victim}/environ").read_text(),
    lambda: os.kill(victim, signal.SIGTERM),
    lambda: os.setuid(1),
    lambda: os.setgid(0),
    lambda: os.setgroups([0]),
    lambda: os.sethostname(b"x") if hasattr(os, "sethostname") else __import__("socket").sethostname("x"),
):
    try:
        attempt()
        told.append("done")
    except OSError as error:
        told.append(type(error).__name__)
print(*told)
"""


@pytest.fixture
def running(tmp_path: Path, prefix: str) -> Iterator[Tieline]:
    made = Tieline(tmp_path / "state", prefix)
    try:
        made.up()
        yield made
    finally:
        made.down()


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def processes(state: Path) -> dict[str, int]:
    """The parts of the tieline on a state directory, by module."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if len(words) > 3 and words[1] == "-m" and str(state) in words:
            found[words[2]] = int(entry.parent.name)
    return found


def bits(kept: frozenset[int]) -> int:
    return sum(1 << bit for bit in kept)


def test_each_process_has_what_it_needs_and_no_more(running: Tieline) -> None:
    found = processes(running.state)
    fabric, platform = status(found["tieline.fabric"]), status(found["tieline.console"])
    for kind in ("CapEff", "CapPrm", "CapBnd"):
        assert int(fabric[kind], 16) & ~bits(DAEMON) == 0
        assert int(platform[kind], 16) & ~bits(PLATFORM) == 0
    assert platform["NoNewPrivs"] == "1"
    for pid in found.values():
        assert status(pid)["Umask"] == "0077", found
        assert "Max core file size 0 0 bytes" in " ".join(Path(f"/proc/{pid}/limits").read_text().split())
    assert running.state.stat().st_mode & 0o777 == 0o700, "which it was not when it was made"
    for name in ("api-key", "credentials", "fabric.db", "cloud.db", "secret.key", "fabric.log", "control"):
        assert (running.state / name).stat().st_mode & 0o077 == 0, name


def open_to_others(directory: Path) -> list[Path]:
    """What others than its owner may read, write or list of a directory."""
    return [one for one in (directory, *directory.rglob("*")) if one.lstat().st_mode & 0o066]


def test_a_state_directory_of_another_user_is_refused(tmp_path: Path, prefix: str) -> None:
    tieline = Tieline(tmp_path / "state", prefix)
    os.chown(tieline.state, 4321, 4321)
    ports = ("--console-port", str(tieline.console_port), "--aws-port", str(tieline.aws_port))
    done = tieline.command("up", "--state", str(tieline.state), *ports, check=False)
    assert done.returncode == 1 and "belongs to 4321" in done.stderr and "chown" in done.stderr
    assert [one.name for one in tieline.state.iterdir()] == ["prefix"]


def test_what_a_deployment_runs_has_what_it_needs_and_no_more(running: Tieline) -> None:
    client = running.client()
    client.create_deployment(name="plant")
    until(lambda: client.deployment("plant"), lambda found: found.status == "running" and found.agent.broker)
    platform = running.account("platform").ec2
    instance = platform.describe_instances()["Reservations"][0]["Instances"][0]["InstanceId"]
    inside = statuses(within(running.namespace(instance)))
    own = {command: found for command, found in inside if command and "forwarder.py" not in command}
    assert len(own) >= 3, own.keys()  # process 1, the agent, the broker
    for command, found in own.items():
        assert int(found["CapBnd"], 16) & ~bits(INSTANCE) == 0, command
        assert found["Seccomp"] == "2", "its system calls are filtered"
    broker = next(found for command, found in own.items() if "mosquitto -c" in command)
    assert int(broker["CapEff"], 16) == int(broker["CapPrm"], 16) == 0 and "0" not in broker["Uid"].split()
    mark = f'"prefix":"{running.prefix}"'
    forwarders = until(  # its port for devices, and its way to the platform; each is root's until it has left its maker
        lambda: [found for command, found in statuses(everybody()) if "forwarder.py" in command and mark in command],
        lambda those: len(those) == 2 and all(found["Uid"].split()[0] != "0" for found in those),
    )
    for found in forwarders:
        assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 0
        assert found["NoNewPrivs"] == "1" and found["Uid"].split() == ["65534"] * 4


def test_only_the_published_ports_are_in_the_machines_network(running: Tieline) -> None:
    running.account("customer").network()
    pids = {f"pid={pid}," for pid in processes(running.state).values()}
    listed = subprocess.run(["ss", "-Htlnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    ours = {line.split()[3] for line in listed if any(pid in line for pid in pids)}
    assert ours == {f"127.0.0.1:{port}" for port in (running.console_port, running.aws_port)}
    for view in (["link"], ["address"], ["route", "show", "table", "all"], ["rule"]):
        shown = subprocess.run(["ip", "-o", *view], capture_output=True, text=True, check=True).stdout
        assert running.prefix not in shown and " h-" not in shown and " w-" not in shown


def test_a_resolver_runs_as_nobody(running: Tieline) -> None:
    vpc, _ = running.account("customer").network()
    until(lambda: users(running.namespace(vpc)), lambda uids: uids == {"65534"})
    assert open_to_others(Path("/run", running.prefix)) == []


def test_instances_can_be_switched_off(tmp_path: Path, prefix: str) -> None:
    tieline = Tieline(tmp_path / "state", prefix)
    try:
        tieline.up("--no-instances")
        customer = tieline.account("customer")
        _, subnets = customer.network()
        with pytest.raises(ClientError, match="switched off"):
            customer.instance(subnets[0], "#!/bin/sh\n")
        assert customer.ec2.describe_instances()["Reservations"] == []
    finally:
        tieline.down()


def users(namespace: str) -> set[str]:
    """The effective user of every process in a namespace; one that ends meanwhile has none."""
    found = set()
    for pid in within(namespace):
        with suppress(OSError):
            found.add(status(pid)["Uid"].split()[1])
    return found


def statuses(pids: list[int]) -> list[tuple[str, dict[str, str]]]:
    """The command line and the status of each process; those that end meanwhile are left out."""
    found = []
    for pid in pids:
        with suppress(OSError):
            found.append((words(pid), status(pid)))
    return found


def within(namespace: str) -> list[int]:
    """The processes in a network namespace."""
    done = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False)
    return [int(pid) for pid in done.stdout.split()]


def everybody() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def words(pid: int) -> str:
    """A process's command line; empty for one that has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def test_the_platforms_confinement_holds(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for directory in (own, other):
        directory.mkdir()
    (other / "kept").write_text("kept")
    (own / "link").symlink_to(other / "kept")
    with subprocess.Popen(["sleep", "60"]) as victim:
        command = [sys.executable, "-c", ATTEMPT, str(own), str(other), str(victim.pid)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout.split() == ["PermissionError"] * 17, done.stderr
        assert (other / "kept").read_text() == "kept" and victim.poll() is None
        victim.terminate()


ASK = """
import sys
from pathlib import Path
from tieline.fabric.daemon.control import Create, ask
from tieline.fabric.kernel.privileges import confine_platform
state = Path(sys.argv[1])
confine_platform(state)
print(ask(state, Create("stolen")).code)
"""


def test_the_platform_manages_no_accounts(running: Tieline) -> None:
    command = [sys.executable, "-c", ASK, str(running.state)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "FORBIDDEN", done.stderr
    accounts = ask(running.state, Listing()).accounts
    assert "stolen" not in [account.name for account in accounts]
    assert accounts  # the operator is answered


def test_the_platform_runs_in_a_group_of_its_own(running: Tieline) -> None:
    platform = status(processes(running.state)["tieline.console"])
    assert platform["Gid"].split() == [str(PLATFORM_GROUP)] * 4
    assert platform["Groups"] == ""
