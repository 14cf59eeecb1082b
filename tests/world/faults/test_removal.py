"""What is asked for while a link is cut, which takes a while on a busy machine, is as it was asked for afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from world.faults.fabric import Fabric
from world.faults.linked import Linked
from world.running import until

pytestmark = pytest.mark.world

# Stands before the real program on PATH: a machine that is so busy that a command takes as long as a file is there.
WRAPPER = """#!/bin/sh
case "$*" in *-D*) [ -e {hold} ] && : > {reached} ;; esac
while [ -e {hold} ]; do sleep 0.05; done
exec {program} "$@"
"""


class Slow:
    """Has a cut wait in the middle: after its rules stand, before its flows are forgotten."""

    def __init__(self, directory: Path) -> None:
        self._hold, self._reached = directory / "hold", directory / "reached"
        wrapper = directory / "bin" / "conntrack"
        wrapper.parent.mkdir()
        wrapper.write_text(WRAPPER.format(hold=self._hold, reached=self._reached, program=shutil.which("conntrack")))
        wrapper.chmod(0o755)
        self.path = f"{wrapper.parent}:/usr/sbin:/usr/bin:/sbin:/bin"

    @contextmanager
    def cut(self, act: Callable[[], object]) -> Iterator[None]:
        """Inside, the cut that `act` asks for is under way."""
        self._hold.touch()
        act()
        try:
            until(self._reached.exists)
            yield
        finally:
            self._hold.unlink()


@pytest.fixture
def slow(mortal: Fabric, tmp_path: Path) -> Slow:
    made = Slow(tmp_path)
    mortal.environment = {"PATH": made.path}
    mortal.up()
    return made


def test_an_instance_that_ends_while_a_link_of_its_vpc_is_cut_leaves_no_namespace(mortal: Fabric, slow: Slow) -> None:
    linked = Linked(mortal)
    namespace = Path("/run/netns", linked.space(linked.client))
    with slow.cut(lambda: linked.platform.ec2.delete_vpc_endpoints(VpcEndpointIds=[linked.endpoint])):
        linked.platform.ec2.terminate_instances(InstanceIds=[linked.client])
        until(lambda: not namespace.exists())
    until(lambda: linked.platform.ec2.describe_vpc_endpoints()["VpcEndpoints"], lambda left: not left)
    until(linked.quiet)
    assert not namespace.exists()


def test_a_link_that_is_accepted_again_while_it_is_cut_is_laid_again(mortal: Fabric, slow: Slow) -> None:
    linked = Linked(mortal)
    consent = {"ServiceId": linked.service, "VpcEndpointIds": [linked.endpoint]}
    with slow.cut(lambda: linked.customer.ec2.reject_vpc_endpoint_connections(**consent)):
        linked.customer.ec2.accept_vpc_endpoint_connections(**consent)
        until(linked.quiet)
        assert linked.platform.endpoint_state(linked.endpoint) == "pending"
    until(lambda: linked.platform.endpoint_state(linked.endpoint), lambda state: state == "available")
    until(linked.passes)
