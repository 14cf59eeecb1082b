"""`tieline demo --once` performs the whole guide and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.world


# What /run holds afterwards, in a mount namespace of its own: nobody else's namespaces are there.
ALONE = 'mount -t tmpfs tmpfs /run && "$@" && ls /run /run/netns'


@pytest.mark.timeout(240)
def test_the_demo_passes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tieline", "demo", "--once"]
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", ALONE, "alone", *command],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert done.stdout.count("✓") == 21, done.stdout + done.stderr
    assert "tl-" not in done.stdout.partition("all steps passed")[2]
    assert list(tmp_path.iterdir()) == []
    ps = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    assert [line for line in ps.splitlines() if str(tmp_path) in line] == []
