"""`tieline demo --once` performs the whole guide and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.world


def traces() -> set[str]:
    """Namespaces and temporary directories of the demo, and its processes."""
    places = {str(path) for path in Path("/run/netns").glob("tl-*")}
    places |= {str(path) for path in Path(tempfile.gettempdir()).glob("tieline-demo-*")}
    places |= {str(path) for path in Path("/run").glob("tl-*")}
    ps = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return places | {line for line in ps.splitlines() if "tieline-demo-" in line}


@pytest.mark.timeout(240)
def test_the_demo_passes_and_leaves_nothing_behind() -> None:
    before = traces()
    done = subprocess.run(
        [sys.executable, "-m", "tieline", "demo", "--once"], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 21
    assert traces() - before == set()
