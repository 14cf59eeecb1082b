"""Mosquitto as a deployment's broker: configured, changed while it runs, and started again whenever it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import pwd
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from tieline.agent.brokers.access import difference, document
from tieline.agent.brokers.control import ControlFailed, command
from tieline.agent.brokers.mosquitto_conf import (
    ACCESS,
    ANONYMOUS,
    CERTIFICATE,
    CONFIGURATION,
    GATE,
    KEY,
    configuration,
    narrowed,
    without_user,
)
from tieline.agent.brokers.origin import build
from tieline.agent.brokers.saving import keep_saved
from tieline.agent.brokers.settings import AGENT, Listener, Settings
from tieline.agent.brokers.websocket import WebSocketDoor
from tieline.base.secrets import write_private
from tieline.base.trees import Tree

log = logging.getLogger(__name__)

QUEUES = "mosquitto.db"  # its sessions and queues
PLACES = ("mosquitto", "/usr/sbin/mosquitto")  # Debian keeps it off an ordinary user's path
USERS = ("mosquitto", "nobody")  # the first that exists runs the broker where we are root
FIRST_RETRY, LAST_RETRY = 0.2, 5.0  # seconds before the next start, doubled each time
STABLE_SECONDS = 10.0  # so long up, and the next start is without delay again
STOP_SECONDS = 5.0  # for writing the queues to disk
READY_POLL = 0.05
GATE_SECONDS = 10.0  # after which devices are let in even where nobody has subscribed to what they publish
LINE = 1 << 20  # bytes; a client id or a topic, 65,535 bytes each, may stand in a line of its log
ERROR_LINES = 5  # of its last words that are kept to explain its end


class Mosquitto:
    """One broker process under watch; `changed` is called whenever it comes up or ends.

    Devices are let in once `subscribed` has returned, so that nothing that they publish is lost.
    """

    def __init__(
        self,
        directory: Path,
        password: str,
        changed: Callable[[], None],
        subscribed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._directory = directory
        self._subscribed = subscribed
        self._up = False  # whether it accepts connections, be it only the agent's
        self._password = password
        self._changed = changed
        self._settings: Settings | None = None
        self._watch: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._plugin: Path | None = None
        self._door = WebSocketDoor()
        self.running = False
        self.error = ""
        self.without_origin = ""  # why rules cannot see who published, "" where they can

    async def apply(self, settings: Settings) -> None:
        """Be like this from now on; the same again changes nothing. Raises FileNotFoundError without Mosquitto.

        Users, rules, anonymous access and certificates change while it runs; other listeners take a restart.
        """
        before = self._settings
        if before == settings and self._watch is not None:
            return
        same = before is not None and _listeners(before) == _listeners(settings) and not narrowed(before, settings)
        if before is not None and self._up and same:
            try:
                await self._adapt(before, settings)
            except ControlFailed as error:
                log.warning("changing users while the broker runs: %s; starting it again instead", error)
            else:
                self._settings, self._door.origins = settings, settings.origins
                return
        await self.close()
        self._settings = settings
        self._plugin, self.without_origin = await build(self._directory)
        if self._plugin is None and settings.anonymous_on:
            self.without_origin += "; devices without a user are let in nowhere: listeners cannot be told apart"
        self._prepare(settings)
        self._watch = asyncio.create_task(self._keep(_program()), name="mosquitto")

    def peer(self, source: str) -> tuple[str, int] | None:
        """Where a client by WebSocket is that the broker sees at this address."""
        return self._door.peer(source)

    async def close(self) -> None:
        """End the broker in good order and stop watching."""
        watch, self._watch, self._settings = self._watch, None, None
        await self._door.close()
        if watch is not None:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
        await self._end()

    async def _adapt(self, before: Settings, after: Settings) -> None:
        """Change what can be changed without an interruption; raises ControlFailed."""
        if commands := difference(before, after):
            host, port = dialled(after.mqtt.host), after.mqtt.port
            await asyncio.to_thread(command, host, port, AGENT, self._password, commands)
        if _reloaded(before) != _reloaded(after):
            self._write_configuration(after)
            self._own()
            if self._process is not None:
                self._process.send_signal(signal.SIGHUP)  # also ends who is no longer let in

    def _prepare(self, settings: Settings) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._door.choose()
        self._write_configuration(settings)
        write_private(self._directory / ACCESS, json.dumps(document(settings, self._password, os.urandom)))
        self._own()

    def _write_configuration(self, settings: Settings) -> None:
        plugin = f"./{self._plugin.name}" if self._plugin else ""
        inner, peers = self._door.inner, self._door.peers
        write_private(self._directory / CONFIGURATION, configuration(settings, plugin, inner, peers))
        write_private(self._directory / ANONYMOUS, ",".join(without_user(settings)))
        if settings.anonymous or settings.anonymous_on:
            log.warning("devices connect without a user, as it was asked for, by %s", settings.anonymous_on or "all")
        if settings.tls:
            write_private(self._directory / CERTIFICATE, settings.tls.certificate)
            write_private(self._directory / KEY, settings.tls.key)

    def _own(self) -> None:
        """Give the files to the user that the broker runs as."""
        if os.geteuid() == 0:
            user = _user()
            with Tree.open(self._directory) as directory:
                directory.give((user.pw_uid, user.pw_gid))

    async def _keep(self, program: str) -> None:
        delay = FIRST_RETRY
        while True:
            started = time.monotonic()
            try:
                await self._run(program)
            except OSError as error:  # something of the broker's user stands in the way, or there is no process
                self._set(False, str(error))
            delay = FIRST_RETRY if time.monotonic() - started > STABLE_SECONDS else min(delay * 2, LAST_RETRY)
            log.warning("the broker ended: %s; next start in %.1f s", self.error, delay)
            await asyncio.sleep(delay)

    async def _run(self, program: str) -> None:
        """One life of the broker, until it ends."""
        command = _as_user([program, "-c", CONFIGURATION])
        with Tree.open(self._directory) as directory:
            directory.remove(GATE)
        self._process = process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self._directory,
            stderr=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.DEVNULL,
            limit=LINE,
            pass_fds=(self._door.peers,),
        )
        assert process.stderr is not None
        ready = asyncio.create_task(self._wait_ready())
        saving = asyncio.create_task(keep_saved(process, self._directory / QUEUES))
        last: list[str] = []
        try:
            while line := await process.stderr.readline():
                last = [*last[1 - ERROR_LINES :], line.decode(errors="replace").strip()]
                log.info("mosquitto: %s", last[-1])
            code = await process.wait()
        finally:
            ready.cancel()
            saving.cancel()
        self._set(False, f"exit status {code}: {' | '.join(last) or 'it said nothing'}")

    async def _wait_ready(self) -> None:
        assert self._settings is not None, "a broker that runs has settings"
        settings = self._settings
        inner = self._door.inner if settings.websocket else None
        places = [(one.host, one.port) for one in (settings.mqtt, settings.tls, inner) if one is not None]
        for host, port in places:  # it opens one after the other
            while not await accepts(dialled(host), port):
                await asyncio.sleep(READY_POLL)
        self._up = True
        if settings.websocket is not None:
            await self._open_door(settings.websocket, settings.origins)
        try:
            if self._subscribed is not None:
                async with asyncio.timeout(GATE_SECONDS):
                    await self._subscribed()
        except TimeoutError:
            log.warning("devices are let in although not every rule has subscribed: see its status")
        with Tree.open(self._directory) as directory:
            directory.write(GATE, b"", lasting=False)
        self._set(True, "")

    async def _open_door(self, place: Listener, origins: tuple[str, ...]) -> None:
        """Listen for WebSockets, again and again where somebody else has the address."""
        while True:
            try:
                return await self._door.open(place, origins)
            except OSError as error:
                log.warning("no WebSocket at %s:%s: %s", place.host, place.port, error)
                self.error = f"no WebSocket at {place.host}:{place.port}: {error}"
                self._changed()
                await asyncio.sleep(LAST_RETRY)

    def _set(self, running: bool, error: str) -> None:
        self.running, self.error = running, error
        self._up = running
        self._changed()

    async def _end(self) -> None:
        process, self._process, self.running, self._up = self._process, None, False, False
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def dialled(host: str) -> str:
    """The address to connect to for what listens there."""
    return "127.0.0.1" if host == "0.0.0.0" else host


def _listeners(settings: Settings) -> tuple[object, ...]:
    """What takes a restart to change."""
    tls = (settings.tls.host, settings.tls.port) if settings.tls else None
    return settings.mqtt, tls, settings.websocket


def _reloaded(settings: Settings) -> tuple[object, ...]:
    """What the broker reads again when it is told to."""
    return settings.anonymous, settings.anonymous_on, settings.tls, settings.events


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
