"""The function jq: programs of the jq language, run in a process of their own and for a bounded time.

As in EMQX, except that it waits one second where EMQX waits ten: whoever waits holds up the other messages. Measured on
two cores, a program that selects one of two metrics: 14 µs in jq itself, 45 µs with the way to the process and back.
"""

from __future__ import annotations

import atexit
import contextlib
import select
import signal
import subprocess
import sys
import threading
import time
from typing import IO, Any, Final

from tieline.integration.messages import json_text
from tieline.integration.rules.functions import jq_process
from tieline.integration.rules.functions.jq_process import ANSWER, REQUEST
from tieline.integration.rules.registry import function, number, text
from tieline.integration.rules.values.bounds import spend
from tieline.integration.rules.values.errors import RuleFailure, Unfit
from tieline.integration.rules.values.values import to_json

GROUP: Final = "jq"
MILLISECONDS: Final = 1_000  # of computing, unless the third argument says something else
LONGEST: Final = 10_000  # EMQX's default
PATIENCE: Final = 10  # times as long a busy machine may take, and a program is left alone that took too long
COMMAND: Final = (sys.executable, "-m", jq_process.__name__)


class Programs:
    """Runs programs, one at a time. The process is started when it is needed, and again when a program ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._endless: dict[str, float] = {}  # programs that took too long, until this time

    def run(self, program: str, given: str, seconds: float) -> list[Any]:
        """The results of a program. Raises RuleFailure."""
        with self._lock:
            self._refuse(program)
            try:
                well, said = self._ask(program.encode(), given.encode(), seconds)
            except (OSError, EOFError):
                raise self._lost(program, seconds) from None
        if not well:
            raise RuleFailure(said.decode())
        spend(len(said))
        return [json_text.decode(line) for line in said.splitlines()]

    def close(self) -> int:
        """End the process, and return its exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return -signal.SIGPROF  # it computes still

    def _refuse(self, program: str) -> None:
        """Raises RuleFailure for a program that took too long a moment ago: it would hold up every message."""
        now = time.monotonic()
        self._endless = {one: until for one, until in self._endless.items() if until > now}
        if until := self._endless.get(program):
            raise RuleFailure(f"the program took too long, and is not tried again for {until - now:.0f} s")

    def _lost(self, program: str, seconds: float) -> RuleFailure:
        if self.close() != -signal.SIGPROF:
            return RuleFailure("the program needs too much memory, or broke jq")
        self._endless[program] = time.monotonic() + seconds * PATIENCE
        return RuleFailure(f"the program did not end within {seconds:g} s")

    def _ask(self, program: bytes, given: bytes, seconds: float) -> tuple[bool, bytes]:
        if self._process is None:
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env={})
        source, sink = self._process.stdout, self._process.stdin
        assert source is not None and sink is not None
        sink.write(REQUEST.pack(seconds, len(program), len(given)) + program + given)
        sink.flush()
        if not select.select([source], [], [], PATIENCE * (seconds + 1))[0]:
            raise EOFError
        well, size = ANSWER.unpack(_exactly(source, ANSWER.size))
        return well, _exactly(source, size)


def _exactly(source: IO[bytes], size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise EOFError
    return data


_programs = Programs()
atexit.register(_programs.close)


def check(program: str) -> None:
    """Raises Unfit for a text that is no program; it is compiled, and not run."""
    if program.strip():
        try:
            _programs.run(f"def checked: ({program}\n); empty", "null", MILLISECONDS / 1000)
        except RuleFailure as error:
            raise Unfit(str(error).partition("\n")[0].removeprefix("jq: error: ")) from None


@function(
    GROUP,
    ("jq('.a', '{\"a\": 1}')", "[1]"),
    ("jq('.[] | select(. > 1)', [1, 2, 3])", "[2, 3]"),
    ("jq('map(. + 1)', '[1, 2]', 500)", "[[2, 3]]"),
)
def jq(program: Any, value: Any, milliseconds: Any = MILLISECONDS) -> list[Any]:
    """The results, as an array, of a program in the jq language for a value, a text being JSON. It may compute so long
    (a second; at most ten), has no environment and no files, and is left alone for a while when it took longer.
    """
    if not 0 < number(milliseconds) <= LONGEST:
        raise RuleFailure(f"a program may compute for at most {LONGEST} ms")
    given = value if isinstance(value, str) else to_json(value)
    return _programs.run(text(program), given, milliseconds / 1000)
