"""Ansible, unmodified: the guide's playbook makes everything, and played again finds nothing to change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from world.clients.absent import absent
from world.clients.apart import NotInstalled, environment
from world.running import Tieline, until

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]
GUIDE = Path(__file__).with_name("guide.yml")
READ = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"


class Ansible:
    """Plays the guide's playbook on a running tieline."""

    def __init__(self, installed: Path, tieline: Tieline, scratch: Path) -> None:
        self._program = installed / "bin/ansible-playbook"
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # the AWS CLI, for what has no module
            "HOME": str(scratch),
            "AWS_ENDPOINT_URL": tieline.wire,
            "AWS_SHARED_CREDENTIALS_FILE": str(tieline.state / "credentials"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.json",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "LC_ALL": "C.UTF-8",
        }

    def play(self) -> dict[str, list[str]]:
        """Play it once; the names of the tasks by what became of them. Fails the test with what failed."""
        command = [str(self._program), "-i", "localhost,", str(GUIDE)]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
        tasks: list[dict[str, Any]] = json.loads(done.stdout)["plays"][0]["tasks"]
        found: dict[str, list[str]] = {"changed": [], "unchanged": []}
        for task in tasks:
            changed = task["hosts"]["localhost"].get("changed", False)
            found["changed" if changed else "unchanged"].append(task["task"]["name"])
        return found


@pytest.fixture
def ansible(tieline: Tieline, tmp_path: Path) -> Ansible:
    try:
        installed = environment("ansible")
    except NotInstalled as error:
        absent("Ansible", f"it cannot be installed: {error}")
    return Ansible(installed, tieline, tmp_path)


def test_the_second_play_changes_nothing(tieline: Tieline, ansible: Ansible) -> None:
    first = ansible.play()
    assert len(first["changed"]) == 8
    customer, platform = tieline.account("customer"), tieline.account("platform")
    group = customer.elb.describe_target_groups(Names=["database"])["TargetGroups"][0]["TargetGroupArn"]
    until(lambda: customer.health(group), lambda states: states == ["healthy"])

    endpoint = platform.ec2.describe_vpc_endpoints()["VpcEndpoints"][0]
    until(lambda: platform.endpoint_state(endpoint["VpcEndpointId"]), lambda state: state == "available")
    client = platform.instance(endpoint["SubnetIds"][0], "#!/bin/sh\nexec sleep infinity\n")
    url = f"http://{platform.addresses(endpoint['VpcEndpointId'])[0]}:5432/"
    answer = tieline.inside(client, "python3", "-c", READ, url)
    assert answer.stdout.strip() == "hello from behind the link", answer.stderr

    again = ansible.play()
    assert again["changed"] == [] and sorted(again["unchanged"]) == sorted(first["changed"] + first["unchanged"])
