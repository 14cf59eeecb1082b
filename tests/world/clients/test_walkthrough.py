"""The AWS CLI, unmodified: docs/walkthrough.md is executed as it stands, block by block, in one shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import free_port
from world.clients.absent import absent
from world.running import Tieline

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/walkthrough.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def unstarted(tmp_path: Path, prefix: str) -> Iterator[Tieline]:
    """A state directory of the test's own on which the page starts and stops tieline itself."""
    running = Tieline(tmp_path / "state", prefix)
    try:
        yield running
    finally:
        running.down()


def script() -> str:
    """The blocks of the page, each announced by its number, so that a failure says where it was."""
    blocks = BLOCK.findall(PAGE.read_text())
    return "\n".join(f"echo '== block {n}'\n{block}" for n, block in enumerate(blocks, 1))


def environment(tieline: Tieline, scratch: Path) -> dict[str, str]:
    """Nothing but the page's own settings, and where the AWS CLI of this installation is."""
    scripts = str(Path(sys.executable).parent)
    return {
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "TIELINE_STATE": str(tieline.state),
        "WIRE": str(tieline.aws_port),
        "CONSOLE": str(tieline.console_port),
        "MQTT": str(free_port()),
        "COLUMNS": "200",
    }


def test_the_page_is_true(unstarted: Tieline, tmp_path: Path) -> None:
    settings = environment(unstarted, tmp_path)
    if shutil.which("aws", path=settings["PATH"]) is None:
        absent("AWS CLI", "there is no aws on this machine; ./dev test installs one")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script()],
        cwd=ROOT,
        env=settings,
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
    )
    said = done.stdout[-5000:] + done.stderr[-3000:]
    assert done.returncode == 0, said
    assert "waiting_acceptance" in done.stdout, said
    assert "refused, as it should be" in done.stdout, said
    assert re.search(r"^19$", done.stdout, re.MULTILINE), said
    assert not list(Path("/run/netns").glob(f"{unstarted.prefix}*"))
