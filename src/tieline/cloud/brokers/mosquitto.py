"""Mosquitto as a deployment's broker: its configuration, and a watch that starts it again whenever it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pwd
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

CONFIGURATION = "mosquitto.conf"
PLACES = ("mosquitto", "/usr/sbin/mosquitto")  # Debian keeps it off an ordinary user's path
USERS = ("mosquitto", "nobody")  # the first that exists runs the broker where we are root
SAVE_SECONDS = 10  # between two writes of sessions and queues to disk: each write is of everything
FIRST_RETRY, LAST_RETRY = 0.2, 5.0  # seconds before the next start, doubled each time
STABLE_SECONDS = 10.0  # so long up, and the next start is without delay again
STOP_SECONDS = 5.0  # for writing the queues to disk
READY_POLL = 0.05
ERROR_LINES = 5  # of its last words that are kept to explain its end


def configuration(host: str, port: int) -> str:
    """The configuration: paths are relative, for the broker may enter its directory but not those above it."""
    lines = [
        "per_listener_settings true",
        f"listener {port} {host}",
        "allow_anonymous true",
        "persistence true",
        "persistence_location ./",
        f"autosave_interval {SAVE_SECONDS}",
        "max_inflight_messages 0",  # the client's receive maximum is the limit
        "max_queued_messages 0",  # a slow database must not cost a message
        "set_tcp_nodelay true",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "connection_messages false",
    ]
    return "\n".join(lines) + "\n"


class Mosquitto:
    """One broker process under watch; `changed` is called whenever it comes up or ends."""

    def __init__(self, directory: Path, changed: Callable[[], None]) -> None:
        self._directory = directory
        self._changed = changed
        self._address = ("", 0)
        self._watch: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.running = False
        self.error = ""

    async def apply(self, host: str, port: int) -> None:
        """Listen there from now on; the same again changes nothing. Raises FileNotFoundError without Mosquitto."""
        if self._address == (host, port):
            return
        await self.close()
        self._address = (host, port)
        self._prepare(configuration(host, port))
        self._watch = asyncio.create_task(self._keep(_program()), name="mosquitto")

    async def close(self) -> None:
        """End the broker in good order and stop watching."""
        watch, self._watch, self._address = self._watch, None, ("", 0)
        if watch is not None:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        await self._end()

    def _prepare(self, text: str) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / CONFIGURATION).write_text(text)
        if os.geteuid() == 0:
            user = _user()
            for path in (self._directory, *self._directory.iterdir()):
                os.chown(path, user.pw_uid, user.pw_gid)

    async def _keep(self, program: str) -> None:
        delay = FIRST_RETRY
        while True:
            started = time.monotonic()
            await self._run(program)
            delay = FIRST_RETRY if time.monotonic() - started > STABLE_SECONDS else min(delay * 2, LAST_RETRY)
            log.warning("the broker ended: %s; next start in %.1f s", self.error, delay)
            await asyncio.sleep(delay)

    async def _run(self, program: str) -> None:
        """One life of the broker, until it ends."""
        command = _as_user([program, "-c", CONFIGURATION])
        self._process = process = await asyncio.create_subprocess_exec(
            *command, cwd=self._directory, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
        )
        assert process.stderr is not None
        ready = asyncio.create_task(self._wait_ready())
        last: list[str] = []
        try:
            while line := await process.stderr.readline():
                last = [*last[1 - ERROR_LINES :], line.decode(errors="replace").strip()]
                log.info("mosquitto: %s", last[-1])
            code = await process.wait()
        finally:
            ready.cancel()
        self._set(False, f"exit status {code}: {' | '.join(last) or 'it said nothing'}")

    async def _wait_ready(self) -> None:
        host, port = self._address
        while not await accepts("127.0.0.1" if host == "0.0.0.0" else host, port):
            await asyncio.sleep(READY_POLL)
        self._set(True, "")

    def _set(self, running: bool, error: str) -> None:
        self.running, self.error = running, error
        self._changed()

    async def _end(self) -> None:
        process, self._process, self.running = self._process, None, False
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()


async def accepts(host: str, port: int) -> bool:
    """Whether something accepts TCP connections there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    return True


def _program() -> str:
    for place in PLACES:
        if found := shutil.which(place):
            return found
    raise FileNotFoundError("mosquitto is not installed: apt install mosquitto")


def _user() -> pwd.struct_passwd:
    for name in USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise LookupError(f"none of the users {', '.join(USERS)} exists")


def _as_user(command: Sequence[str]) -> list[str]:
    """The command without root's rights, and ended with its parent however that ends."""
    end = ["--pdeathsig", "TERM"]
    if os.geteuid() != 0:
        return ["setpriv", *end, *command]
    user = _user()
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *end, *command]
