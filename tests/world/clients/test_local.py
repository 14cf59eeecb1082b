"""awslocal and tflocal, unmodified: the key that they sign with belongs to an account that was made for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from world.clients import mirror
from world.clients.absent import absent
from world.clients.apart import NotInstalled, environment
from world.running import Tieline

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]
NETWORK = f"""{mirror.NEEDED}
provider "aws" {{
  region = "us-east-1"
}}
resource "aws_vpc" "here" {{
  cidr_block = "10.7.0.0/16"
}}
"""


@pytest.fixture(scope="module")
def account(tieline: Tieline) -> str:
    """The id of an account that has the tools' key."""
    made = tieline.command("account", "create", "local", "--test-key", "--json", "--state", str(tieline.state))
    id: str = json.loads(made.stdout)[0]["id"]
    return id


class Local:
    """Runs one of the tools against a running tieline, without any credentials."""

    def __init__(self, tieline: Tieline, place: Path) -> None:
        try:
            self._programs = environment("local") / "bin"
        except NotInstalled as error:
            absent("awslocal and tflocal", f"they cannot be installed: {error}")
        self._place = place
        aws = Path(sys.executable).parent
        self._environment = {
            "PATH": f"{self._programs}:{aws}:{os.environ['PATH']}",
            "HOME": str(place),
            "AWS_ENDPOINT_URL": tieline.wire,
            "AWS_DEFAULT_REGION": "us-east-1",
            "DISABLE_DEPRECATION_NOTICE": "1",
        }

    def __call__(self, *command: str, **more: str) -> str:
        done = subprocess.run(
            [str(self._programs / command[0]), *command[1:]],
            cwd=self._place,
            env=self._environment | more,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout


@pytest.fixture
def local(tieline: Tieline, tmp_path: Path) -> Local:
    return Local(tieline, tmp_path)


def test_awslocal(account: str, local: Local) -> None:
    assert json.loads(local("awslocal", "--output", "json", "sts", "get-caller-identity"))["Account"] == account
    assert json.loads(local("awslocal", "--output", "json", "elbv2", "describe-load-balancers")) == {
        "LoadBalancers": []
    }


def test_tflocal(tieline: Tieline, account: str, local: Local, tmp_path: Path) -> None:
    settings = mirror.environment("tflocal", tmp_path)
    (tmp_path / "main.tf").write_text(NETWORK)
    local("tflocal", "init", "-no-color", **settings)
    local("tflocal", "apply", "-auto-approve", "-no-color", **settings)
    shown = json.loads(local("awslocal", "--output", "json", "ec2", "describe-vpcs"))["Vpcs"]
    assert [(vpc["CidrBlock"], vpc["OwnerId"]) for vpc in shown] == [("10.7.0.0/16", account)]
    assert "No changes." in local("tflocal", "plan", "-detailed-exitcode", "-no-color", **settings)
    local("tflocal", "destroy", "-auto-approve", "-no-color", **settings)
    assert json.loads(local("awslocal", "--output", "json", "ec2", "describe-vpcs"))["Vpcs"] == []
