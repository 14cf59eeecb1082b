"""The agent: runs inside a deployment, keeps its broker and its rules going, and talks to the platform."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tieline.agent.channel import Channel, Dismissed
from tieline.agent.latest_config import Newest
from tieline.agent.worker import Worker
from tieline.base import private
from tieline.base.shutdown import bound, cancelled

THREADS = 64  # a name whose resolver does not answer holds one for half a minute, and they are few by default
END_SECONDS = 12.0  # for what waits to be written (2), its processes (4), and a broker that writes its queues (5)


async def run(platform: str, join: str, state: Path, authority: Path | None = None) -> None:
    """Work until SIGTERM or SIGINT, or until the platform dismisses this agent."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "agent"))
    due, ended = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    worker = Worker(state, due.set)
    newest = Newest(worker)
    newest.start()
    channel = Channel(platform, join, worker.id, due, authority)
    working = asyncio.create_task(channel.run(worker, newest), name="line")
    ending = asyncio.create_task(ended.wait(), name="end")
    await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
    bound(END_SECONDS)
    await cancelled(working, ending)
    await newest.close()
    fault = None if working.cancelled() else working.exception()
    await worker.close(dismissed=isinstance(fault, Dismissed))
    if fault is not None and not isinstance(fault, Dismissed):
        raise fault


def main(platform: str, join: str, state: Path, authority: Path | None = None) -> int:
    """Run the agent in this process; 0 where it was told to end. `authority`: PEM, to verify the platform with."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)
    state = state.resolve()
    private.harden()
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # one for each device by WebSocket, and one to the broker
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, allowed))
    private.directory(state)
    asyncio.run(run(platform, join, state, authority))
    return 0
