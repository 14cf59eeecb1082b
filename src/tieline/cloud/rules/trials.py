"""Rules of users, compiled and tried outside the platform's own process, for a bounded time and in bounded memory.

A process is started when it is needed, kept, and started again when a rule ended it. Measured on two cores: 0.3 s for
the first question, 1 ms and what the rule takes for each further one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Final

import msgspec

from tieline.cloud.model.problems import PlatformError
from tieline.integration.rules.functions.system import PREFIX
from tieline.integration.trial import trial_process
from tieline.integration.trial.trial import Answer, Check, Question, Try
from tieline.integration.trial.trial_process import ANSWER, REQUEST

COMMAND: Final = (sys.executable, "-m", trial_process.__name__)
KEPT: Final = (PREFIX, "TZ=")  # of the environment: what rules read, and the time zone that dates are in
CHECK_SECONDS: Final = 10.0  # of computing; the longest rule takes about two
TRY_SECONDS: Final = 2.0
PATIENCE: Final = 4  # times as long a busy machine may take
WAIT_SECONDS: Final = 30.0  # until a process is free
AT_ONCE: Final = 2  # tries, and as many checks


class TooLong(Exception):
    """The rule ended its process: it computed too long, or broke it."""


class Trials:
    """Answers questions about rules."""

    def __init__(self) -> None:
        self._pools: dict[type, _Pool] = {Check: _Pool(CHECK_SECONDS), Try: _Pool(TRY_SECONDS)}

    async def ask(self, question: Question) -> Answer:
        """The answer; raises PlatformError 400 where the rule takes too long, 503 where too many others are asking."""
        pool = self._pools[type(question)]
        try:
            return await pool.ask(question)
        except TimeoutError:
            message = f"other rules have been computing here for {WAIT_SECONDS:.0f} s"
            raise PlatformError(503, "BUSY", message, "try again in a moment; nothing was changed") from None
        except TooLong as error:
            raise PlatformError(400, "RULE_FAILED", str(error), "make it do less") from None

    async def close(self) -> None:
        """End the processes."""
        for pool in self._pools.values():
            await pool.close()


class _Pool:
    """Processes for one kind of question, so that whoever tries rules does not keep others from saving theirs."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._places = asyncio.Semaphore(AT_ONCE)
        self._idle: list[asyncio.subprocess.Process] = []

    async def ask(self, question: Question) -> Answer:
        """The answer of the first process that is free; raises TimeoutError, TooLong."""
        async with asyncio.timeout(WAIT_SECONDS):
            await self._places.acquire()
        try:
            process = self._idle.pop() if self._idle else await _start()
            try:
                answer = await self._exchange(process, question)
            except BaseException:
                await _end(process)
                raise
            self._idle.append(process)
            return answer
        finally:
            self._places.release()

    async def _exchange(self, process: asyncio.subprocess.Process, question: Question) -> Answer:
        source, sink = process.stdout, process.stdin
        assert source is not None and sink is not None
        data = msgspec.json.encode(question)
        try:
            async with asyncio.timeout(PATIENCE * self._seconds):
                sink.write(REQUEST.pack(self._seconds, len(data)) + data)
                await sink.drain()
                (size,) = ANSWER.unpack(await source.readexactly(ANSWER.size))
                answer: Answer = msgspec.json.decode(await source.readexactly(size), type=Answer)
                return answer
        except TimeoutError:
            raise TooLong(f"the rule did not end within {PATIENCE * self._seconds:.0f} s") from None
        except (OSError, asyncio.IncompleteReadError):
            if await _end(process) == -signal.SIGPROF:
                raise TooLong(f"the rule computed for longer than {self._seconds:.0f} s for one message") from None
            raise TooLong("the rule ended the process in which it was tried: it needs too much memory") from None

    async def close(self) -> None:
        """End what is idle."""
        while self._idle:
            await _end(self._idle.pop())


async def _start() -> asyncio.subprocess.Process:
    pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    kept = {name: value for name, value in os.environ.items() if f"{name}=".startswith(KEPT)}
    return await asyncio.create_subprocess_exec(
        *COMMAND, stdin=pipe, stdout=pipe, stderr=nowhere, env=kept, start_new_session=True
    )


async def _end(process: asyncio.subprocess.Process) -> int:
    """End a process, and return its exit status."""
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            return await process.wait()
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    return await process.wait()
