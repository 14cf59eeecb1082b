"""SIGKILL at every command that builds or removes a link: the next start finishes, and nothing is left behind."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError
from botocore.parsers import ResponseParserError

from tieline.fabric.kernel.system.names import Footprint
from world.faults.fabric import Fabric
from world.faults.linked import Linked
from world.running import until

pytestmark = pytest.mark.world
PROGRAMS = {"ip": "/usr/sbin/ip", "nsenter": "/usr/bin/nsenter"}  # what commands.py starts to work on a link
DIED = (BotoCoreError, ResponseParserError)
STEPS = 40  # far more than a link takes

# Stands before the real program on PATH. While armed with a number, it kills who called it in the place of the
# command with that number, once; commands that only read are not counted.
WRAPPER = """#!/bin/sh
case "$*" in *" -j "* | *" nft -s list "* | *" conntrack -L"*) exec {program} "$@" ;; esac
if [ -e {arm} ]; then
  printf x >> {count}
  if [ "$(wc -c < {count})" -ge "$(cat {arm})" ] && mv {arm} {fired} 2> /dev/null; then kill -9 $PPID; exit 1; fi
fi
exec {program} "$@"
"""


class Trap:
    """Kills the fabric in the place of its n-th command from now on."""

    def __init__(self, directory: Path) -> None:
        self.directory, self._arm, self._count = directory / "bin", directory / "arm", directory / "count"
        self._fired = directory / "fired"
        self.directory.mkdir()
        for name, program in PROGRAMS.items():
            wrapper = self.directory / name
            wrapper.write_text(WRAPPER.format(program=program, arm=self._arm, count=self._count, fired=self._fired))
            wrapper.chmod(0o755)

    def arm(self, number: int) -> None:
        self._count.write_bytes(b"")
        self._arm.write_text(str(number))

    def disarm(self) -> bool:
        """Whether it was still armed: if not, whoever took the arm away kills the fabric, or has."""
        with suppress(FileNotFoundError):
            self._arm.unlink()
            return True
        return False


def test_a_fabric_that_is_killed_at_any_step_of_a_link_goes_on_where_it_ended(mortal: Fabric, tmp_path: Path) -> None:
    trap = Trap(tmp_path)
    mortal.environment = {"PATH": f"{trap.directory}:/usr/sbin:/usr/bin:/sbin:/bin"}
    mortal.up()
    linked = Linked(mortal)
    remove(linked)
    until(lambda: not endpoints(linked))
    endpoint = f"{linked.consumer} 1: lo    inet {linked.address}/32"
    clean = until(lambda: traces(linked), lambda found: not any(line.startswith(endpoint) for line in found))
    steps: dict[str, int] = {}  # how many commands a fabric that was not killed has run for it
    for number in range(1, STEPS):
        request(linked)
        if "build" in steps:
            accept(linked)
        elif not killed(linked, trap, number, accept, available):
            steps["build"] = number - 1
        until(lambda: available(linked))
        until(linked.passes)
        if "remove" in steps:
            remove(linked)
        elif not killed(linked, trap, number, remove, lambda linked: not endpoints(linked)):
            steps["remove"] = number - 1
        until(lambda: not endpoints(linked))
        until(lambda: sorted(traces(linked) ^ clean), lambda left: not left)
        if len(steps) == 2:
            break
    assert set(steps) == {"build", "remove"} and min(steps.values()) > 3, steps


def killed(
    linked: Linked, trap: Trap, number: int, act: Callable[[Linked], None], done: Callable[[Linked], bool]
) -> bool:
    """Whether the fabric is killed at this command of what it is asked for; if so, it is started again."""
    process = linked.tieline.process
    assert process is not None
    trap.arm(number)
    with suppress(*DIED):  # it may be killed before it has answered
        act(linked)
    until(lambda: process.poll() is not None or reached(linked, done))
    if trap.disarm():
        return False
    process.wait()
    linked.tieline.up()
    return True


def reached(linked: Linked, done: Callable[[Linked], bool]) -> bool:
    """Whether it is done; a fabric that dies meanwhile gives no answer."""
    with suppress(*DIED):
        return done(linked)
    return False


def request(linked: Linked) -> None:
    linked.endpoint = linked.platform.endpoint(linked.consumer, linked.service_name, linked.subnets)
    linked.address = linked.platform.addresses(linked.endpoint)[0]


def accept(linked: Linked) -> None:
    linked.customer.ec2.accept_vpc_endpoint_connections(ServiceId=linked.service, VpcEndpointIds=[linked.endpoint])


def remove(linked: Linked) -> None:
    linked.platform.ec2.delete_vpc_endpoints(VpcEndpointIds=[linked.endpoint])


def endpoints(linked: Linked) -> list[str]:
    return [each["VpcEndpointId"] for each in linked.platform.ec2.describe_vpc_endpoints()["VpcEndpoints"]]


def available(linked: Linked) -> bool:
    return linked.platform.endpoint_state(linked.endpoint) == "available"


def traces(linked: Linked) -> set[str]:
    """All that a link could leave: its ends, its addresses, its elements, its record."""
    found: set[str] = set()
    for vpc in (linked.consumer, linked.provider):
        enter = ["nsenter", f"--net=/run/netns/{linked.space(vpc)}", "--"]
        for command in (["ip", "-o", "link"], ["ip", "-o", "-4", "address"], ["nft", "list", "ruleset"]):
            shown = subprocess.run([*enter, *command], capture_output=True, text=True, check=True).stdout
            found |= {f"{vpc} {line}" for line in shown.splitlines()}
    wires = Footprint(linked.tieline.prefix, linked.tieline.state).wires
    return found | set(map(str, wires.iterdir()))
