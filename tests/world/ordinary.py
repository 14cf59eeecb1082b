"""An ordinary user of the machine, played by root: an id that nobody has, a home, and subordinate ids."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import tieline
from world.running import REGION, Tieline, until

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))  # one user for each of pytest's workers
USER = 54321 + WORKER  # nobody's id; subordinate ids are given to it in a mount namespace of the test's own
GRANT = f"{USER}:{200_000 + WORKER * 65_536}:65536\n"
BECOME = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--inh-caps=-all"]


@contextmanager
def home_of_user() -> Iterator[Path]:
    """The user's directory, below none that is closed to him."""
    with tempfile.TemporaryDirectory(prefix="tlt-home-") as directory:
        os.chown(directory, USER, USER)
        yield Path(directory)


def words_to_become(directory: Path, home: Path) -> list[str]:
    """The words before a command that run it as the user; skips where the system cannot. `directory` is the test's."""
    if shutil.which("newuidmap") is None:
        pytest.skip("an ordinary user's world needs newuidmap (apt install uidmap)")
    if os.geteuid() != 0:
        pytest.skip("only root can play another user")
    (directory / "subids").write_text(GRANT)
    account = f"somebody:x:{USER}:{USER}::{home}:/bin/sh\n"
    (directory / "passwd").write_text(Path("/etc/passwd").read_text() + account)
    grants = (("passwd", "passwd"), ("subids", "subuid"), ("subids", "subgid"))
    steps = [f"mount --bind {directory}/{file} /etc/{place}" for file, place in grants]
    steps += [step for closed in _closed(sys.executable, tieline.__file__) for step in _opened(closed, home)]
    script = f'{" && ".join(steps)} && cd {home} && exec env HOME={home} TMPDIR={home} "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh", *BECOME]


@contextmanager
def up_as_user(words: list[str], home: Path) -> Iterator[Tieline]:
    """The user's `tieline up`, ended and taken down at the end."""
    running = Tieline(home / "state", "")
    (running.state / "prefix").unlink()  # nothing of it is in the machine's network: it may choose its own
    os.chown(running.state, USER, USER)
    ports = ["--console-port", str(running.console_port), "--aws-port", str(running.aws_port), "--region", REGION]
    command = [*words, sys.executable, "-m", "tieline"]
    running.process = subprocess.Popen(
        [*command, "up", "--state", str(running.state), *ports], stdout=subprocess.DEVNULL
    )
    try:
        until(running._answers, seconds=60)
        yield running
    finally:
        running.terminate()
        subprocess.run([*command, "down", "--state", str(running.state)], check=True, capture_output=True)


def _closed(*files: str) -> list[Path]:
    """The directories above these files, and above what they are links to, that not everybody may go through."""
    above = {parent for file in map(Path, files) for parent in (*file.parents, *file.resolve().parents)}
    return sorted(parent for parent in above if not parent.stat().st_mode & 0o001)


def _opened(directory: Path, beside: Path) -> list[str]:
    """What lets everybody through a directory, in this mount namespace alone: a layer over it has another mode."""
    return [
        f"mount -t tmpfs layer {beside}",
        f"mkdir {beside}/upper {beside}/work",
        f"mount -t overlay layer -o lowerdir={directory},upperdir={beside}/upper,workdir={beside}/work {directory}",
        f"chmod a+x {directory}",
        f"umount --lazy {beside}",
    ]
