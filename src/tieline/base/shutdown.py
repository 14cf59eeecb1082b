"""An end in bounded time: tasks that are asked again, and a process that nothing holds up.

Nothing is lost by an end that comes too soon: what is not written is not acknowledged, and stays with the broker.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from typing import Any, Final

AGAIN_SECONDS: Final = 2.0  # before a task is asked to end again: longer than any of ours needs for cleaning up
LATE: Final = 1  # the exit status of a process that did not end by itself

log = logging.getLogger(__name__)


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Return when these tasks have ended. A library may swallow a cancellation, as wait_for of Python 3.11 does."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)  # or asyncio complains of errors that nobody looked at


def bound(seconds: float) -> None:
    """End this process after so many seconds, unless it has ended before: a thread or a library may hang for ever."""

    def end() -> None:
        log.error("not ended %g s after it was asked for: ended now; the broker keeps what is not written", seconds)
        os._exit(LATE)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
