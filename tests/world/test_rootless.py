"""An ordinary user, without any privilege, performs the whole guide in a world of his own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import tieline
from world.running import REGION, Account, Tieline, until

pytestmark = pytest.mark.world

USER = 54321  # nobody's id; subordinate ids are given to it in a mount namespace of the test's own
GRANT = f"{USER}:200000:65536\n"
BECOME = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--inh-caps=-all"]


@pytest.fixture
def home() -> Iterator[Path]:
    """The user's directory, below none that is closed to him."""
    with tempfile.TemporaryDirectory(prefix="tlt-home-") as directory:
        os.chown(directory, USER, USER)
        yield Path(directory)


@pytest.fixture
def as_ordinary_user(tmp_path: Path, home: Path) -> list[str]:
    """The words that run a command as an ordinary user who has subordinate ids."""
    if shutil.which("newuidmap") is None:
        pytest.skip("an ordinary user's world needs newuidmap (apt install uidmap)")
    if os.geteuid() != 0:
        pytest.skip("only root can play another user")
    (tmp_path / "subids").write_text(GRANT)
    account = f"somebody:x:{USER}:{USER}::{home}:/bin/sh\n"
    (tmp_path / "passwd").write_text(Path("/etc/passwd").read_text() + account)
    grants = (("passwd", "passwd"), ("subids", "subuid"), ("subids", "subgid"))
    steps = [f"mount --bind {tmp_path}/{file} /etc/{place}" for file, place in grants]
    steps += [step for directory in closed(sys.executable, tieline.__file__) for step in opened(directory, home)]
    script = f'{" && ".join(steps)} && cd {home} && exec env HOME={home} TMPDIR={home} "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh", *BECOME]


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
    running = Tieline(home / "state", "")
    (running.state / "prefix").unlink()  # nothing of it is in the machine's network: it may choose its own
    os.chown(running.state, USER, USER)
    ports = ["--console-port", str(running.console_port), "--aws-port", str(running.aws_port), "--region", REGION]
    command = [*as_ordinary_user, sys.executable, "-m", "tieline"]
    running.process = subprocess.Popen(
        [*command, "up", "--state", str(running.state), *ports], stdout=subprocess.DEVNULL
    )
    try:
        until(running._answers, seconds=60)
        yield running.account("customer")
    finally:
        running.terminate()
        subprocess.run([*command, "down", "--state", str(running.state)], check=True, capture_output=True)


def test_user_data_sees_software_and_no_home_of_the_machine(account: Account, letter: Path) -> None:
    _, subnets = account.network(("use1-az1",))
    script = f"#!/bin/sh\ncat {letter}; ls /usr/bin/env; touch /usr/x || echo kept; su nobody -s /bin/sh -c 'id -un'\n"
    instance = account.instance(subnets[0], script)
    said = until(lambda: console(account, instance), lambda text: "the boot script ended" in text)
    assert "private" not in said
    assert "/usr/bin/env\n" in said and "kept\n" in said and "\nnobody\n" in said


def console(account: Account, instance: str) -> str:
    return str(account.ec2.get_console_output(InstanceId=instance).get("Output", ""))


def closed(*files: str) -> list[Path]:
    """The directories above these files, and above what they are links to, that not everybody may go through."""
    above = {parent for file in map(Path, files) for parent in (*file.parents, *file.resolve().parents)}
    return sorted(parent for parent in above if not parent.stat().st_mode & 0o001)


def opened(directory: Path, beside: Path) -> list[str]:
    """What lets everybody through a directory, in this mount namespace alone: a layer over it has another mode."""
    return [
        f"mount -t tmpfs layer {beside}",
        f"mkdir {beside}/upper {beside}/work",
        f"mount -t overlay layer -o lowerdir={directory},upperdir={beside}/upper,workdir={beside}/work {directory}",
        f"chmod a+x {directory}",
        f"umount --lazy {beside}",
    ]
