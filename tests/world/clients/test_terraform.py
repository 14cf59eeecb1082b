"""Terraform, unmodified: the whole guide is applied, needs no change afterwards, carries bytes, and leaves nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from tieline.demo.inside import Inside
from tieline.fabric.core.records import Instance
from tieline.store import SQLiteStore
from world.clients import mirror
from world.running import Tieline, until

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]
GUIDE = Path(__file__).with_name("guide.tf")
READ = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"


class Terraform:
    """A working directory with the guide in it."""

    def __init__(self, place: Path, tieline: Tieline, settings: dict[str, str]) -> None:
        self._place = place
        shutil.copy(GUIDE, place)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_"))},
            "AWS_ENDPOINT_URL": tieline.wire,
            "AWS_SHARED_CREDENTIALS_FILE": str(tieline.state / "credentials"),
            **settings,
        }

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Run one command of Terraform to its end; fails the test with all that it said."""
        done = subprocess.run(
            ["terraform", arguments[0], *arguments[1:]],
            cwd=self._place,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == status, done.stdout[-6000:] + done.stderr[-6000:]
        return done.stdout.strip()


@pytest.fixture
def terraform(tieline: Tieline, tmp_path: Path) -> Iterator[Terraform]:
    yield Terraform(tmp_path, tieline, mirror.environment("Terraform", tmp_path))


def remaining(tieline: Tieline) -> set[str]:
    """What is left in the store besides accounts and keys; AWS, too, describes terminated instances for an hour."""
    store = SQLiteStore(tieline.state / "fabric.db")
    try:
        return {f"{d.kind} {d.id}" for d in store.load() if not _lasts(d.kind, d.body)}
    finally:
        store.close()


def _lasts(kind: str, body: bytes) -> bool:
    if kind == Instance.KIND:
        return msgspec.json.decode(body, type=Instance).state == "terminated"
    return kind in ("account", "access-key")


def test_the_whole_guide(tieline: Tieline, terraform: Terraform) -> None:
    terraform("init", "-no-color")
    terraform("apply", "-auto-approve", "-no-color")
    assert "No changes." in terraform("plan", "-detailed-exitcode", "-no-color")
    assert terraform("output", "-raw", "state") == "available"
    group = terraform("output", "-raw", "group")
    until(lambda: tieline.account("customer").health(group), lambda states: states == ["healthy"])

    inside, client, name = (
        Inside(tieline.prefix),
        terraform("output", "-raw", "client"),
        terraform("output", "-raw", "name"),
    )

    def read(port: int) -> str:
        """What is answered; a name that is not known yet is no answer."""
        try:
            return inside.run(client, "python3", "-c", READ, f"http://{name}:{port}/").strip()
        except RuntimeError as error:
            return str(error)

    for port in (5432, 8008):
        until(partial(read, port), lambda answer: answer == "hello from behind the link")

    terraform("destroy", "-auto-approve", "-no-color")
    assert until(lambda: remaining(tieline), lambda left: not left) == set()
    netns = Path("/run/netns")
    until(lambda: [entry.name for entry in netns.glob(f"{tieline.prefix}*")], lambda left: not left)
