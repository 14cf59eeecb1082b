"""Running a command of ours as root of an ordinary user's world, with its ports published outside."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from tieline.fabric.kernel.rootless import Publisher, World

LOOK_SECONDS = 0.2  # between looks for ports to publish


def run_inside(state: Path, *arguments: str, publish: bool = True) -> int:
    """Run `tieline` with these arguments in the world of a state directory; its exit status. Raises NoWorld."""
    world = World(state)
    world.ensure()
    publisher = Publisher(world)
    command = world.entering(sys.executable, "-m", "tieline", *arguments)
    child = subprocess.Popen(command, start_new_session=True, umask=0o022)  # until it has its own

    def pass_on(number: int, _: FrameType | None) -> None:
        child.send_signal(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    try:
        while child.poll() is None:
            if publish:
                publisher.follow()
            time.sleep(LOOK_SECONDS)
    finally:
        publisher.close()
    return child.returncode
