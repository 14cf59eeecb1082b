"""The platform and its agents as real processes on loopback, for tests.

    with PlatformProcess(tmp_path / "cloud") as platform, AgentProcess(platform.url, token, tmp_path / "agent"):
        platform.client.deployments()

`kill` is SIGKILL, and `start` brings the same one back on the same port. Everything that they print is kept in `log`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from servers import accepts, free_port, wait_until
from tieline.cli.home import Home
from tieline.cli.machine.down import take_down
from tieline.client.rest import Client

STOP_SECONDS = 60.0  # an agent takes 12 at most, from when it hears of it
NOBODY_THERE = "http://127.0.0.1:9"  # the discard port: AWS does not answer


class Process:
    """One process with a log file, in a session of its own."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}  # beside this process's own, without what is of AWS and tieline

    def command(self) -> list[str]:
        raise NotImplementedError

    def wait_ready(self) -> None:
        """Wait until it does its work."""

    def start(self) -> None:
        """Start it and wait until it works."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TIELINE_"))}
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env=environment | self.environment, start_new_session=True
            )
        self.wait_ready()

    def log(self) -> str:
        """What it printed so far."""
        return self._log.read_text(errors="replace")

    def alive(self) -> bool:
        """Whether it runs; raises AssertionError with its log where it ended."""
        assert self.process is not None
        assert self.process.poll() is None, f"{self.command()} ended:\n{self.log()}"
        return True

    def kill(self) -> None:
        """End it at once."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        return self._end(signal.SIGTERM)

    def _end(self, number: int) -> int:
        process, self.process = self.process, None
        if process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            return process.wait(STOP_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class FabricProcess(Process):
    """`python -m tieline.fabric` on a free port, with a prefix of its own; all that it made goes with it."""

    def __init__(self, state: Path) -> None:
        super().__init__(state.with_suffix(".log"))
        self._home = Home(state)
        self._home.make()
        self.port = free_port()

    def command(self) -> list[str]:
        options = ["--state", str(self._home.path), "--prefix", self._home.prefix, "--port", str(self.port)]
        return [sys.executable, "-m", "tieline.fabric", *options]

    def wait_ready(self) -> None:
        wait_until(lambda: self.alive() and accepts(self.port), "the fabric")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def credentials(self) -> Path:
        """Its AWS credentials file, with the profiles platform and customer."""
        return self._home.path / "credentials"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        take_down(self._home)


class PlatformProcess(Process):
    """`python -m tieline.cloud` on a free port."""

    def __init__(self, state: Path, fabric: FabricProcess | None = None, options: Sequence[str] = ()) -> None:
        super().__init__(state.with_suffix(".log"))
        self.state = state
        self.port = free_port()
        self.options = options
        self._aws = ["--aws-endpoint", fabric.url if fabric else NOBODY_THERE]
        if fabric:
            self._aws += ["--credentials", str(fabric.credentials), "--profile", "platform"]

    def command(self) -> list[str]:
        options = ["--state", str(self.state), "--port", str(self.port), *self._aws, *self.options]
        return [sys.executable, "-m", "tieline.cloud", *options]

    def wait_ready(self) -> None:
        wait_until(lambda: self.alive() and accepts(self.port), "the platform")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        """Its first API key."""
        return (self.state / "api-key").read_text()

    @cached_property
    def client(self) -> Client:
        """A client with that key, closed with the platform."""
        return Client(self.url, self.key)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        super().__exit__(kind, error, trace)


class AgentProcess(Process):
    """An agent that joined by hand."""

    def __init__(self, platform: str, token: str, state: Path, options: Sequence[str] = ()) -> None:
        super().__init__(state.with_suffix(".log"))
        self._platform, self._token, self.state, self._options = platform, token, state, options

    def command(self) -> list[str]:
        options = ["--platform", self._platform, "--join", self._token, "--state", str(self.state), *self._options]
        return [sys.executable, "-m", "tieline", "agent", *options]
