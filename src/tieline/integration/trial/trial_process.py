"""The process that answers a platform's questions about rules: requests on standard input, answers on standard output.

The kernel ends it when a question takes too long, memory is bounded, and there is no environment but what rules may
read. Whoever asks starts another one then.
"""

from __future__ import annotations

import resource
import signal
import struct
import sys
from typing import Final

import msgspec

from tieline.integration.trial.trial import Answer, Question, answer

REQUEST: Final = struct.Struct(">dI")  # seconds of computing, bytes of the question, which follows
ANSWER: Final = struct.Struct(">I")  # bytes of the answer, which follows
MEMORY: Final = 512 << 20  # bytes of address space; 45 MiB are taken when it starts
FILES: Final = 64  # that may be open: a rule with jq has a process of its own


def confine() -> None:
    """Give up what no rule needs: memory, files, the traces of a crash."""
    for limit, value in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_NOFILE, FILES), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (value, value))


def main() -> None:
    """Serve until standard input ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    decoder = msgspec.json.Decoder(Question)
    confine()
    while head := source.read(REQUEST.size):
        seconds, size = REQUEST.unpack(head)
        question = decoder.decode(source.read(size))
        signal.setitimer(signal.ITIMER_PROF, seconds)
        found: Answer = answer(question)
        data = msgspec.json.encode(found)
        signal.setitimer(signal.ITIMER_PROF, 0)
        del question, found
        sink.write(ANSWER.pack(len(data)) + data)
        sink.flush()


if __name__ == "__main__":
    main()
