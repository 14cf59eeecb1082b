"""One of several processes that share a pipeline's messages, told what to do by lines on standard input."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Final

from tieline.base.shutdown import bound
from tieline.integration.config.shapes import Config
from tieline.integration.worker import messages
from tieline.integration.worker.pipeline import GRACE, Pipeline
from tieline.integration.worker.requests import perform

STATE_SECONDS: Final = 0.5  # between two states
LINE: Final = 64 << 20  # bytes that one request may have
CLOSE_SECONDS: Final = 1.0  # for ending, beyond the grace for what waits

log = logging.getLogger(__name__)


class Worker:
    """Runs a pipeline as it is told by lines, and ends with whoever tells it."""

    def __init__(self, start: messages.Start) -> None:
        directory = Path(start.directory) if start.directory is not None else None
        self.pipeline = Pipeline(start.broker, Config(), directory)
        self._running = asyncio.create_task(self.pipeline.run())

    async def handle(self, request: messages.ToWorker) -> messages.Answer:
        """Do what is asked; whatever goes wrong is in the answer."""
        try:
            return await self._handle(request)
        except Exception as error:
            log.exception("%s failed", type(request).__name__)
            return messages.Answer(id=request.id, error=f"{type(error).__name__}: {error}")

    async def _handle(self, request: messages.ToWorker) -> messages.Answer:
        match request:
            case messages.Apply():
                await self.pipeline.apply(request.config)
            case messages.Inherit():
                await self.pipeline.inherit(map(Path, request.directories))
            case messages.Ready():
                await self.pipeline.ready()
            case messages.Note():
                self.pipeline.note()
            case messages.Deafen():
                await self.pipeline.deafen()
            case messages.Heard():
                return messages.Answer(id=request.id, heard=await self.pipeline.heard(request.ids))
            case messages.Close():
                await self._close(request)
            case messages.Start():
                raise ValueError("it has started already")
            case asked:
                return await perform(self.pipeline, asked)
        return messages.Answer(id=request.id)

    async def _close(self, request: messages.Close) -> None:
        if request.forget:
            await self.pipeline.dismiss(request.grace)
        else:
            await self.pipeline.close(request.grace)
        await self._running

    def state(self) -> messages.State:
        """How it is now."""
        return messages.State(metrics=self.pipeline.metrics(), status=self.pipeline.status())


async def main() -> None:
    """Serve standard input until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    start = messages.decode_request(await reader.readline())
    if not isinstance(start, messages.Start):
        raise SystemExit("the first line is to be a start")
    worker = Worker(start)
    await asyncio.sleep(0)
    write(messages.Answer(id=start.id))
    telling = asyncio.create_task(tell(worker))
    waiting: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        request = messages.decode_request(line)
        task = asyncio.create_task(answer(worker, request))
        waiting.add(task)
        task.add_done_callback(waiting.discard)
        if isinstance(request, messages.Close):
            await task
            return
    telling.cancel()
    bound(GRACE + CLOSE_SECONDS)
    await worker.pipeline.close()  # nobody is there any more: the broker keeps what is not safe


async def answer(worker: Worker, request: messages.ToWorker) -> None:
    """Answer one request. What it changed is told first: nobody reads an older state after the answer, and what was
    counted until the end counts.
    """
    done = await worker.handle(request)
    if isinstance(request, messages.Apply | messages.Ready | messages.Close):
        write(worker.state())
    write(done)


async def tell(worker: Worker) -> None:
    """Say regularly how it is."""
    while True:
        write(worker.state())
        await asyncio.sleep(STATE_SECONDS)


def write(message: messages.FromWorker) -> None:
    """One line to whoever started us."""
    sys.stdout.buffer.write(messages.encode(message))
    sys.stdout.buffer.flush()
