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


async def begin(previous: Pipeline | Workers, pipeline: Pipeline | Workers) -> None:
    """Before the second of the two is told what to hear: one of them keeps back what comes, the other notes it."""
    match previous, pipeline:
        case Pipeline(), Workers():
            await pipeline.apply(pipeline.config)  # the processes have started
            await pipeline.note()
            previous.keep_back()
        case Workers(), Pipeline():
            await previous.note()
            pipeline.keep_back()


async def part(previous: Pipeline | Workers, pipeline: Pipeline | Workers) -> None:
    """Once both hear everything: the first hears nothing more, and each message that both heard is written by one.

    What the processes cannot tell any more is written by both: twice is allowed, never is not.
    """
    match previous, pipeline:
        case (Pipeline() as one, Workers() as several) | (Workers() as several, Pipeline() as one):
            await previous.deafen()
            one.go_on(await several.heard(await one.kept()))


async def undo(previous: Pipeline | Workers, pipeline: Pipeline | Workers | None) -> None:
    """The second could not take over: the first hears everything again, and what was kept back is written."""
    for one in (previous, pipeline):
        if isinstance(one, Pipeline):
            one.go_on({})
    if isinstance(previous, Workers):
        await previous.heard({})  # it notes nothing any more
    await previous.apply(previous.config)


async def retire(previous: Pipeline | Workers, running: asyncio.Task[None]) -> None:
    """End a pipeline that another took over from, and leave no session of it behind at the broker."""
    if isinstance(previous, Workers):
        await previous.resize(0)
        await previous.close()
    else:
        await previous.dismiss(DISMISS_SECONDS)
    running.cancel()
    await asyncio.wait({running})
