"""One worker process as its owner sees it: started, spoken to, and started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from tieline.base.shutdown import cancelled
from tieline.integration.config.shapes import Broker, Config
from tieline.integration.worker import messages, totals
from tieline.integration.worker.serve import CLOSE_SECONDS, LINE

RESTART_SECONDS: Final = 0.5  # before a process that died is started again
DISMISS_SECONDS: Final = 30.0  # that a process gets to write what waits before it is dismissed
LAST_SECONDS: Final = 1.0  # that a process may live after its output ended
END_SECONDS: Final = 10.0  # that a process which is dismissed gets beyond that

log = logging.getLogger(__name__)


class WorkerProcess:
    """A process with a client id and a directory of its own, which its successors inherit."""

    def __init__(self, broker: Broker, directory: Path | None) -> None:
        self._broker = broker
        self._directory = directory
        self.state: messages.State | None = None
        self._past: list[dict[str, Any]] = []  # the last metrics of processes that died
        self._config = Config()
        self._estates: tuple[str, ...] = ()
        self._applied = asyncio.Event()  # the process has answered
        self._not_applied = self._not_ready = ""  # what it answered where that failed
        self._last_words = ""  # how the last process ended
        self._lost = 0  # processes, one after the other, that ended before they took the configuration
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[messages.Answer]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run the process, again and again, until it is closed."""
        self._task = asyncio.create_task(self._keep())

    @property
    def pid(self) -> int:
        """The present process's id, 0 where there is none."""
        return self._process.pid if self._process is not None else 0

    @property
    def error(self) -> str:
        """Why the process does not run the configuration, or cannot say that it hears everything; "" where it does."""
        return self._not_applied or self._not_ready

    async def _keep(self) -> None:
        while True:
            try:
                await self._live()
            except (OSError, msgspec.DecodeError) as error:
                log.error("a worker of %s: %s", self._broker.client_id, error)
                self._last_words = f"{type(error).__name__}: {error}"
            self._mourn()
            await asyncio.sleep(RESTART_SECONDS)

    def _mourn(self) -> None:
        """Whoever waits for one that took the configuration, and was killed, gets its successor's answer; where that
        one ends before it answered, waiting longer tells nobody anything.
        """
        self._lost += 1
        if self._lost > 1:
            self._not_applied = f"{self._lost} processes ended before they took the configuration: {self._last_words}"
            self._applied.set()

    async def _live(self) -> None:
        """One life: from the start to the end of its output."""
        command = [sys.executable, "-m", "tieline.integration.worker"]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=LINE)
        self._process = process
        try:
            directory = str(self._directory) if self._directory is not None else None
            self._send(messages.Start(id=0, broker=self._broker, directory=directory))
            configured = self._put(messages.Apply(id=0, config=self._config))  # before anybody asks for anything else
            configuring = asyncio.create_task(self._configure(configured, first=True))
            assert process.stdout is not None
            while line := await process.stdout.readline():
                self._hear(messages.decode_answer(line))
            configuring.cancel()
        finally:
            await self._bury(process)

    async def _bury(self, process: asyncio.subprocess.Process) -> None:
        """Forget a process that died: nobody gets an answer from it any more, but what it counted counts."""
        self._process = None
        self._applied.clear()
        if self.state is not None:
            self._past = [totals.metrics([*self._past, totals.ended(self.state.metrics)], 0)]
            self.state = None
        waiting, self._answers = self._answers, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(ConnectionError("the worker ended before it answered"))
        try:
            async with asyncio.timeout(LAST_SECONDS):
                await process.wait()
        except TimeoutError:  # only now: a signal to a process that has ended takes its exit status from asyncio
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self._last_words = f"exit status {process.returncode}"

    def _hear(self, message: messages.FromWorker) -> None:
        if isinstance(message, messages.State):
            self.state = message
        elif (future := self._answers.pop(message.id, None)) is not None and not future.done():
            future.set_result(message)

    def _send(self, request: messages.ToWorker) -> None:
        if self._process is None or self._process.stdin is None:
            raise ConnectionError("the worker does not run")
        self._process.stdin.write(messages.encode(request))

    async def ask(self, request: messages.ToWorker) -> messages.Answer:
        """The answer to a request, whose id is chosen here; raises ConnectionError where the process dies first."""
        return await self._put(request)

    def _put(self, request: messages.ToWorker) -> asyncio.Future[messages.Answer]:
        numbered = msgspec.structs.replace(request, id=next(self._ids))
        future: asyncio.Future[messages.Answer] = asyncio.get_running_loop().create_future()
        self._send(numbered)
        self._answers[numbered.id] = future
        return future

    async def _configure(self, configured: asyncio.Future[messages.Answer], first: bool = False) -> None:
        with contextlib.suppress(ConnectionError):
            answer = await configured
            self._not_applied, self._not_ready, self._lost = answer.error, "", 0
            self._applied.set()
            if first and self._estates:
                await self._bequeath()

    async def apply(self, config: Config) -> None:
        """Run this configuration, now and after every start; returns when the process has taken it, or `error` says why
        it could not.
        """
        self._config = config
        self._applied.clear()
        if self._process is not None:
            await self._configure(self._put(messages.Apply(id=0, config=config)))
        await self._applied.wait()

    async def inherit(self, directories: Iterable[Path]) -> None:
        """Have the process take over what is left in these directories, now and after every start."""
        self._estates = tuple(map(str, directories))
        with contextlib.suppress(ConnectionError):  # its successor does it
            await self._bequeath()

    async def _bequeath(self) -> None:
        if error := (await self.ask(messages.Inherit(id=0, directories=self._estates))).error:
            log.error("a worker of %s takes nothing over: %s", self._broker.client_id, error)

    async def ready(self) -> None:
        """Return when the configuration runs, and the broker has confirmed its subscriptions."""
        while True:
            await self._applied.wait()
            with contextlib.suppress(ConnectionError):  # it died, and will be started again
                self._not_ready = (await self.ask(messages.Ready(id=0))).error
                if not self.error:
                    return
            await asyncio.sleep(RESTART_SECONDS)

    def counted(self) -> dict[str, Any]:
        """The metrics of this process and of those before it."""
        present = [self.state.metrics] if self.state is not None else []
        return totals.metrics([*self._past, *present], 0)

    async def dismiss(self) -> None:
        """Take no more messages, write what waits, let the broker forget it, and end."""
        await self._end(messages.Close(id=0, grace=DISMISS_SECONDS, forget=True), DISMISS_SECONDS + END_SECONDS)

    async def close(self, grace: float) -> None:
        """Write what waits for at most `grace` seconds, and end."""
        await self._end(messages.Close(id=0, grace=grace), grace + CLOSE_SECONDS)

    async def _end(self, request: messages.Close, seconds: float) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ask(request)
        if self._task is not None:
            await cancelled(self._task)
