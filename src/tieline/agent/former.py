"""Sessions with the names of former versions, which everybody knew: taken over once more, emptied, and ended.

Nothing new comes to them: they give up their subscriptions first. What the broker kept for them is written as the rules
are now, and acknowledged; a session ends when it has nothing left, however long a database is away.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tieline.agent.brokers.settings import CLIENT_ID
from tieline.base.shutdown import cancelled
from tieline.integration.config.shapes import Broker, Config
from tieline.integration.delivery.dead_letters import FILE as LETTERS
from tieline.integration.delivery.outlets import PLACES
from tieline.integration.mqtt.session import CONNECT_SECONDS, Session
from tieline.integration.mqtt.session_store import FILE, Memory
from tieline.integration.worker import totals
from tieline.integration.worker.pipeline import Pipeline
from tieline.integration.worker.workers import WORKER, estates

FORMER = "former"
EVENTS = f"{CLIENT_ID}-events"  # the session that read the broker's log; none kept what it was told
LOOK_SECONDS = 30.0  # that a session is waited for before the next look at what is to be emptied
AGAIN_SECONDS = 5.0  # before sessions that could not be ended are tried again

log = logging.getLogger(__name__)


def collect(directory: Path, id: str) -> None:
    """Move what the memories in this directory know of former names to directories of their own, by name.

    Cut short, a name stands in both, and is moved the next time. `id` is the agent's, which stood in the names that it
    had at brokers of other people.
    """
    for source in estates(directory):
        if source.name.startswith(WORKER + FORMER) or not (source / FILE).exists():
            continue
        memory = Memory(source)
        for client in memory.clients():
            if (base := _base(client, id)) is not None:
                Memory(_place(directory, base)).remember(client, memory.filters(client))
                memory.forget(client)


def _base(client: str, id: str) -> str | None:
    """What a pipeline was called that had this client id; None for a name of the present."""
    match = re.match(rf"{CLIENT_ID}(-{re.escape(id)})?(-w\d+)?(?=-|$)", client)
    return match[0] if match else None


def _place(directory: Path, base: str) -> Path:
    return directory / f"{WORKER}{FORMER}{base.removeprefix(CLIENT_ID)}"


class Former:
    """Empties the sessions in the directories that `collect` made; `left` hears of each time some are empty, for what
    they left on disk.
    """

    def __init__(self, directory: Path, id: str, left: Callable[[], Awaitable[None]]) -> None:
        self._directory, self._id, self._left = directory, id, left
        collect(directory, id)
        self._pipelines: list[Pipeline] = []
        self._broker: Broker | None = None
        self._config = Config()
        self._task: asyncio.Task[None] | None = None
        self._past: list[dict[str, Any]] = []  # what was counted

    async def follow(self, broker: Broker, config: Config, own: bool) -> None:
        """Empty what this broker has of ours, by these rules; `own` is the platform's, others had other names."""
        self._config = config
        if self._task is not None and broker == self._broker:
            for pipeline in self._pipelines:
                await pipeline.apply(config)
            return
        await self.close()
        self._broker = broker
        bases = [base for base in self._bases() if base.startswith(f"{CLIENT_ID}-{self._id}") != own]
        if bases:
            log.info("emptying the sessions of former names: %s", ", ".join(bases))
            self._task = asyncio.create_task(self._empty(broker, bases), name="former sessions")

    def _bases(self) -> Iterator[str]:
        for found in sorted(self._directory.glob(f"{WORKER}{FORMER}*")):
            yield CLIENT_ID + found.name.removeprefix(WORKER + FORMER)

    def metrics(self) -> list[dict[str, Any]]:
        """What was counted of their messages."""
        return [*self._past, *(pipeline.metrics() for pipeline in self._pipelines)]

    async def close(self) -> None:
        """Stop: what is not written stays with the broker."""
        task, self._task = self._task, None
        if task is not None:
            await cancelled(task)

    async def _empty(self, broker: Broker, bases: Iterable[str]) -> None:
        async with asyncio.TaskGroup() as together:
            for base in bases:
                together.create_task(self._keep_trying(_named(broker, base), _place(self._directory, base)))

    async def _keep_trying(self, broker: Broker, directory: Path) -> None:
        while True:
            try:
                await self._one(broker, directory)
                await self._left()
            except Exception:
                log.exception("the sessions of %s are not ended yet", broker.client_id)
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                log.info("the sessions of %s are empty, and ended", broker.client_id)
                return

    async def _one(self, broker: Broker, directory: Path) -> None:
        pipeline = Pipeline(broker, self._config, directory)
        self._pipelines.append(pipeline)
        run = asyncio.create_task(pipeline.run(), name="former pipeline")
        try:
            await asyncio.sleep(0)  # it runs, and takes what is applied
            await pipeline.apply(self._config)
            await pipeline.emptied(LOOK_SECONDS)
            await pipeline.dismiss(LOOK_SECONDS)
        finally:
            self._pipelines.remove(pipeline)
            await pipeline.close()
            self._past.append(totals.ended(pipeline.metrics()))
            await cancelled(run)
        await _end(broker, directory)
        if not (directory / LETTERS).exists() and not any(directory.glob(PLACES)):
            shutil.rmtree(directory, ignore_errors=True)


def _named(broker: Broker, base: str) -> Broker:
    """The broker as whoever had that name knew it; it takes only what is kept for it."""
    number = base.rpartition("-w")[2] if "-w" in base else ""
    share = broker.share or (base.rpartition("-w")[0] if number else "")
    changes = {"client_id": base, "share": share, "alone": number == "0", "drain": True}
    return msgspec.structs.replace(broker, **changes)


async def _end(broker: Broker, directory: Path) -> None:
    """Have the broker forget what nobody took over, such as a session of a resource that is gone. Raises OSError,
    TimeoutError or Refused.
    """
    memory = Memory(directory)
    for client in [*memory.clients(), *([EVENTS] if broker.client_id == CLIENT_ID else [])]:
        async with asyncio.timeout(CONNECT_SECONDS):
            await Session(broker, client, lambda _: None, tuple, memory).end()
