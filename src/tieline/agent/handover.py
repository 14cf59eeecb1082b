"""One pipeline takes over from another, as where another number of processes works: nothing is missed in between."""

from __future__ import annotations

import asyncio

from tieline.integration.worker.pipeline import Pipeline
from tieline.integration.worker.process import DISMISS_SECONDS
from tieline.integration.worker.workers import Workers

READY_SECONDS = 30.0  # that the broker gets to confirm the subscriptions of another number of processes


async def heard(pipeline: Pipeline | Workers) -> None:
    """Return once a pipeline hears everything; raises TimeoutError where the broker takes too long to say so."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            await pipeline.ready()
    except TimeoutError:
        said = f"the broker has not confirmed the subscriptions within {READY_SECONDS:g} s; what ran before goes on"
        raise TimeoutError(said) from None


async def retire(previous: Pipeline | Workers, running: asyncio.Task[None]) -> None:
    """End a pipeline that another took over from, and leave no session of it behind at the broker.

    What arrives in between arrives twice: twice is allowed, never is not.
    """
    if isinstance(previous, Workers):
        await previous.resize(0)
        await previous.close()
    else:
        await previous.dismiss(DISMISS_SECONDS)
    running.cancel()
    await asyncio.wait({running})
