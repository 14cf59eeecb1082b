"""A check that may wait for somebody's lock: after a while it is asked why it waits, while it does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from tieline.integration.sinks.base.failures import Unavailable

PATIENCE: Final = 3.0  # seconds: a check takes milliseconds where nobody holds a lock


async def patient(
    check: Coroutine[Any, Any, None], why: Callable[[], Awaitable[Unavailable | None]], seconds: float = PATIENCE
) -> None:
    """Run a check; where it waits for a lock, end it and raise what `why` says of that. What waits for nothing that is
    known goes on.
    """
    task = asyncio.create_task(check)
    try:
        while True:
            done, _ = await asyncio.wait((task,), timeout=seconds)
            if done:
                await task
                return
            if (trouble := await why()) is not None:
                raise trouble
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
