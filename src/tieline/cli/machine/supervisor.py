"""Runs the fabric and the platform as two processes, each restarted when it dies, both ended together."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx

from tieline.fabric.kernel.privileges import confine_platform
from tieline.fabric.kernel.system.landlock import RESOLVER, RESOLVERS

log = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1  # linux/prctl.h
READY_SECONDS = 120.0  # from a start to the first answer: one or two, but a loaded machine takes its time
ANSWER_SECONDS = 10.0  # for each look whether it is there
STOP_SECONDS = 10.0
RESOLVER_SECONDS = 15.0  # between two looks whether its file was replaced
FIRST_PAUSE, LONGEST_PAUSE = (
    0.5,
    30.0,
)  # seconds between restarts; a process that ran a minute starts at the first again
PROFILES = {"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"}
_libc = ctypes.CDLL(None, use_errno=True)


class NotReady(Exception):
    """A part did not come up; the message says which, and where its log is."""


@dataclass
class Part:
    """One process: how it is started, where it answers when it is ready, where it writes its log."""

    name: str
    arguments: list[str]
    health: str
    log: Path
    confined: bool = False  # to no capability to speak of, to writing in its log's directory alone, and reading little
    readable: tuple[Path, ...] = ()  # where it is confined: what it may read besides what every program may
    process: asyncio.subprocess.Process | None = field(default=None)


def _prepare(part: Part) -> None:
    """In the child: be told to end when the parent is gone, also when it was killed; and give up what is not needed."""
    if part.confined:
        confine_platform(part.log.parent, part.readable)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)  # last: another group clears it (prctl(2))


class Supervisor:
    """Starts parts in order, each once the one before it answers."""

    def __init__(self, parts: list[Part]) -> None:
        self._parts = parts
        self._watching: list[asyncio.Task[None]] = []
        self._stopping = False

    async def start(self) -> None:
        """Start every part and wait until it answers; raises NotReady."""
        for part in self._parts:
            await self._launch(part)
            await self._until_ready(part)
            self._watching.append(asyncio.create_task(self._keep(part)))
            if part.confined:
                self._watching.append(asyncio.create_task(self._follow_resolver(part)))

    async def stop(self) -> None:
        """End every part, the last first."""
        self._stopping = True
        for task in self._watching:
            task.cancel()
        for part in reversed(self._parts):
            process = part.process
            if process is None or process.returncode is not None:
                continue
            process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def _launch(self, part: Part) -> None:
        part.log.touch(mode=0o600)
        with part.log.open("ab") as output:
            part.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *part.arguments),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(part),
                cwd=part.log.parent if part.confined else None,  # the present one may be a place that it may not read
                umask=0o022,  # until it has its own: what Python compiles meanwhile, an instance's agent reads as well
                start_new_session=True,  # Ctrl-C in a terminal reaches the supervisor, which ends them in order
                preexec_fn=partial(_prepare, part),
            )

    async def _until_ready(self, part: Part) -> None:
        deadline = time.monotonic() + READY_SECONDS
        async with httpx.AsyncClient(trust_env=False) as client:
            while time.monotonic() < deadline:
                if part.process is None or part.process.returncode is not None:
                    raise NotReady(f"the {part.name} ended at its start: {_last_line(part.log)} (log: {part.log})")
                try:
                    if (await client.get(part.health, timeout=ANSWER_SECONDS)).status_code == httpx.codes.OK:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.05)
        raise NotReady(f"the {part.name} does not answer at {part.health} (log: {part.log})")

    async def _follow_resolver(self, part: Part) -> None:
        """Restart a confined part where another file is put in place of the resolver's: it may read the old one."""
        known = _resolver()
        while not any(RESOLVER.resolve().is_relative_to(place) for place in RESOLVERS):
            await asyncio.sleep(RESOLVER_SECONDS)
            if (found := _resolver()) not in (known, None) and part.process is not None:
                log.info("%s was replaced: restarting the %s, which may not read the new one", RESOLVER, part.name)
                known = found
                with contextlib.suppress(ProcessLookupError):
                    part.process.terminate()

    async def _keep(self, part: Part) -> None:
        """Restart a part for as long as it dies."""
        pause = FIRST_PAUSE
        while not self._stopping:
            assert part.process is not None, "kept parts have been started"
            started = time.monotonic()
            status = await part.process.wait()
            pause = FIRST_PAUSE if time.monotonic() - started > 60 else min(2 * pause, LONGEST_PAUSE)
            log.error("the %s ended with status %s, restarting in %.1f s (log: %s)", part.name, status, pause, part.log)
            await asyncio.sleep(pause)
            try:
                await self._launch(part)
            except OSError as error:  # no memory for another process, or no file for its log
                log.error("the %s cannot be started: %s", part.name, error)


def _resolver() -> tuple[int, int] | None:
    """Which file says where names are resolved; None where none does."""
    try:
        found = RESOLVER.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _environment(part: Part) -> dict[str, str]:
    """This process's environment without AWS settings that would lead the parts elsewhere; profiles may be named."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("AWS_") or key in PROFILES}
    # Modules are not looked for in the working directory.
    return own | ({"TMPDIR": str(part.log.parent), "PYTHONSAFEPATH": "1"} if part.confined else {})


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"
