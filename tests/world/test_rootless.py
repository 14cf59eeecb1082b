"""An ordinary user, without any privilege, performs the whole guide in a world of his own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from world.ordinary import USER, home_of_user, up_as_user, words_to_become
from world.running import Account, until

pytestmark = pytest.mark.world


@pytest.fixture
def home() -> Iterator[Path]:
    """The user's directory."""
    with home_of_user() as directory:
        yield directory


@pytest.fixture
def as_ordinary_user(tmp_path: Path, home: Path) -> list[str]:
    """The words that run a command as an ordinary user who has subordinate ids."""
    return words_to_become(tmp_path, home)


@pytest.mark.timeout(240)
def test_the_demo_passes_without_any_privilege(as_ordinary_user: list[str], home: Path) -> None:
    command = [*as_ordinary_user, sys.executable, "-m", "tieline", "demo", "--once"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=220, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 21
    assert list(home.iterdir()) == []
    ps = subprocess.run(["ps", "-U", str(USER), "-o", "args="], capture_output=True, text=True, check=False)
    assert [line for line in ps.stdout.splitlines() if "<defunct>" not in line] == []


@pytest.fixture
def letter(prefix: str) -> Iterator[Path]:
    """A file in somebody's home that everybody may read."""
    file = Path("/home", prefix, "letter")
    file.parent.mkdir()
    file.write_text("private")
    yield file
    shutil.rmtree(file.parent)


@pytest.fixture
def account(as_ordinary_user: list[str], home: Path) -> Iterator[Account]:
    """The customer of an ordinary user's `tieline up`."""
    with up_as_user(as_ordinary_user, home) as running:
        yield running.account("customer")


def test_user_data_sees_software_and_no_home_of_the_machine(account: Account, letter: Path) -> None:
    _, subnets = account.network(("use1-az1",))
    script = f"#!/bin/sh\ncat {letter}; ls /usr/bin/env; touch /usr/x || echo kept; su nobody -s /bin/sh -c 'id -un'\n"
    instance = account.instance(subnets[0], script)
    said = until(lambda: console(account, instance), lambda text: "the boot script ended" in text)
    assert "private" not in said
    assert "/usr/bin/env\n" in said and "kept\n" in said and "\nnobody\n" in said


def console(account: Account, instance: str) -> str:
    return str(account.ec2.get_console_output(InstanceId=instance).get("Output", ""))
