"""The fabric alone, as `tieline up` starts it, but as one process that a test kills, stops and starts as it likes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tieline.fabric.kernel.driver import Kernel
from world.running import REGION, Tieline, until


class Fabric(Tieline):
    """One state directory and the fabric's process on it; `environment` is added to its own."""

    def __init__(self, state: Path, prefix: str) -> None:
        super().__init__(state, prefix)
        self.environment: dict[str, str] = {}

    @property
    def log(self) -> Path:
        return self.state / "fabric.log"

    def launch(self, *more: str) -> None:
        """Start it, and do not wait."""
        options = ["--state", str(self.state), "--prefix", self.prefix, "--port", str(self.aws_port)]
        command = [sys.executable, "-m", "tieline.fabric", *options, "--region", REGION, *more]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **self.environment})

    def up(self, *options: str) -> None:
        """Start it, and wait until it answers."""
        self.launch(*options)
        until(self._serves, seconds=60)

    def _serves(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.wire}/healthz", timeout=1, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """SIGKILL."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End the process; what it made stays."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def down(self) -> None:
        """End it in good order, so that no command of its own is under way, and remove everything that it made."""
        self.end()
        asyncio.run(Kernel(self.prefix, self.state).down())
