"""What is removed while something else is at work on the same VPC stays removed."""

from __future__ import annotations

import shutil
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


def test_an_instance_that_ends_while_a_link_of_its_vpc_is_cut_leaves_no_namespace(
    mortal: Fabric, tmp_path: Path
) -> None:
    hold, reached = tmp_path / "hold", tmp_path / "reached"
    wrapper = tmp_path / "bin" / "conntrack"
    wrapper.parent.mkdir()
    wrapper.write_text(WRAPPER.format(hold=hold, reached=reached, program=shutil.which("conntrack")))
    wrapper.chmod(0o755)
    mortal.environment = {"PATH": f"{wrapper.parent}:/usr/sbin:/usr/bin:/sbin:/bin"}
    mortal.up()
    linked = Linked(mortal)
    namespace = Path("/run/netns", linked.space(linked.client))
    hold.touch()
    linked.platform.ec2.delete_vpc_endpoints(VpcEndpointIds=[linked.endpoint])
    until(reached.exists)
    linked.platform.ec2.terminate_instances(InstanceIds=[linked.client])
    until(lambda: not namespace.exists())
    hold.unlink()
    until(linked.quiet)
    assert not linked.platform.ec2.describe_vpc_endpoints()["VpcEndpoints"]
    assert not namespace.exists()
