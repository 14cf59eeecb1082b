"""`tieline up` ends when it is asked to, also before everything has started."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from servers import runs
from tieline.cli.home import Home
from tieline.cli.machine import up
from tieline.cli.machine.supervisor import Part

NEVER = ["timeit", "-n1", "-r1", "import time; time.sleep(600)"]  # a module that runs, and answers nobody


async def test_an_end_is_heard_while_a_part_does_not_answer(tmp_path: Path) -> None:
    part = Part("fabric", NEVER, "http://127.0.0.1:9/healthz", tmp_path / "log")
    running = asyncio.create_task(up._run(Home(tmp_path), 1, 2, [part]))
    async with asyncio.timeout(60):
        while part.process is None:
            await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGTERM)  # as `tieline down` does
    async with asyncio.timeout(60):
        await running
    assert part.process.returncode is not None
    assert not runs(part.process.pid)
