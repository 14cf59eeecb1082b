"""The agent: runs inside a deployment, keeps its broker and its rules going, and talks to the platform."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from pathlib import Path

from tieline.cloud.agent.channel import Channel, Dismissed
from tieline.cloud.agent.worker import Worker


async def run(platform: str, join: str, state: Path, authority: Path | None = None) -> None:
    """Work until SIGTERM or SIGINT, or until the platform dismisses this agent."""
    due, ended = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    worker = Worker(state, due.set)
    await worker.resume()
    channel = asyncio.create_task(Channel(platform, join, worker.id, due, authority).run(worker), name="channel")
    ending = asyncio.create_task(ended.wait(), name="end")
    await asyncio.wait({channel, ending}, return_when=asyncio.FIRST_COMPLETED)
    dismissed = channel.done() and isinstance(channel.exception(), Dismissed)
    for task in (channel, ending):
        task.cancel()
    with contextlib.suppress(Dismissed, asyncio.CancelledError):
        await channel
    await worker.close(dismissed)


def main(platform: str, join: str, state: Path, authority: Path | None = None) -> int:
    """Run the agent in this process; 0 where it was told to end. `authority`: PEM, to verify the platform with."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)
    state = state.resolve()
    state.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(platform, join, state, authority))
    return 0
