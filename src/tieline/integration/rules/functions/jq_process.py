"""The process that runs jq programs for rules: requests on standard input, answers on standard output.

A rule's author writes programs, and jq can read the environment and files, loop for ever and fill the memory: so it
runs where there is no environment, no file can be opened, memory is bounded, and the kernel ends what takes too long.
"""

from __future__ import annotations

import resource
import signal
import struct
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

REQUEST: Final = struct.Struct(">dII")  # seconds, bytes of the program, bytes of the input; both follow
ANSWER: Final = struct.Struct(">?I")  # whether it went well, bytes of the results or of the error, which follow
MEMORY: Final = 512 << 20  # bytes of address space
MAX_BYTES: Final = 16 << 20  # of results, as what decompression may give


@lru_cache(64)
def compiled(program: str) -> Any:
    """The program; raises ValueError where it is none. Only this process loads the library, before it is confined."""
    import jq

    return jq.compile(program)


def answer(program: str, given: str) -> str:
    """The results, one JSON text per line; raises ValueError where the program or the input is wrong."""
    results: str = compiled(program).input_text(given).text()
    if len(results) > MAX_BYTES:
        raise ValueError(f"the results have more than {MAX_BYTES} bytes")
    return results


def within(seconds: float, work: Callable[[], str]) -> str:
    """Do it, or be ended by the kernel after so many seconds of computing, on a machine however busy."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def confine() -> None:
    """Give up what no program needs: files beyond the three that are open, memory, the traces of a crash."""
    for limit, value in ((resource.RLIMIT_NOFILE, 3), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (value, value))


def main() -> None:
    """Serve until standard input ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    compiled(".")
    confine()
    while head := source.read(REQUEST.size):
        seconds, program, given = REQUEST.unpack(head)
        texts = source.read(program).decode(), source.read(given).decode()
        try:
            well, said = True, within(seconds, lambda: answer(*texts))  # noqa: B023 it is called at once
        except (ValueError, MemoryError) as error:
            well, said = False, str(error) or "it needs too much memory"
        data = said.encode(errors="replace")
        sink.write(ANSWER.pack(well, len(data)) + data)
        sink.flush()


if __name__ == "__main__":
    main()
