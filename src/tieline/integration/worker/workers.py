"""A pipeline in several processes: each message goes to one of them, by shared subscriptions of the broker.

The face is the pipeline's own, except that what needs the processes' answers is awaited. The order of a client's
messages is not kept across processes, so that the first of them takes all that must come in order. What a process had
in hand when it died comes again when it is started again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from tieline.integration.config.shapes import Broker, Config
from tieline.integration.worker import messages, totals
from tieline.integration.worker.pipeline import GRACE
from tieline.integration.worker.process import WorkerProcess

WORKER: Final = "worker-"


def place(directory: Path, number: int) -> Path:
    """The directory of one of several processes."""
    return directory / f"{WORKER}{number}"


def estates(directory: Path) -> list[Path]:
    """All directories in which letters and rows may be left: of one that works alone, and of several."""
    return [directory, *sorted(directory.glob(f"{WORKER}*"))]


class NotApplied(Exception):
    """A process could not take a configuration: the message says which and why."""


class Workers:
    """`count` processes that run one configuration."""

    def __init__(self, broker: Broker, config: Config, directory: Path | None = None, count: int = 2) -> None:
        self.config = config
        self._broker = broker
        self._directory = directory
        self._count = count
        self._workers: list[WorkerProcess] = []
        self._past: list[dict[str, Any]] = []  # what those counted that were dismissed
        self._closed = asyncio.Event()

    async def run(self) -> None:
        """Receive and write until `close`."""
        await self.resize(self._count)
        await self._closed.wait()

    async def resize(self, count: int) -> None:
        """Run so many processes. One that is not needed any more writes what waits for it before it ends."""
        if self._closed.is_set():
            return
        new = [self._worker(number) for number in range(len(self._workers), count)]
        self._workers += new  # at once: a configuration that comes while they start is for all of them
        for worker in new:
            worker.start()
        await asyncio.gather(*(worker.apply(self.config) for worker in new))
        surplus, self._workers = self._workers[count:], self._workers[:count]
        await asyncio.gather(*(worker.dismiss() for worker in surplus))
        self._past = [totals.metrics([*self._past, *(worker.counted() for worker in surplus)], 0)]
        await self.inherit()

    async def inherit(self) -> None:
        """Have the first process take over what others left on disk."""
        if self._workers and self._directory is not None:
            own = {place(self._directory, number) for number in range(len(self._workers))}
            await self._workers[0].inherit([one for one in estates(self._directory) if one not in own])

    def _worker(self, number: int) -> WorkerProcess:
        changes = {
            "client_id": f"{self._broker.client_id}-w{number}",
            "share": self._broker.share or self._broker.client_id,  # a group of several agents is one of all processes
            "ordered": not number,
            "alone": not number and not self._broker.share,
        }
        broker = msgspec.structs.replace(self._broker, **changes)
        directory = place(self._directory, number) if self._directory is not None else None
        return WorkerProcess(broker, directory)

    async def apply(self, config: Config) -> None:
        """Make this the configuration of every process; the broker and the databases follow, as with a pipeline. Raises
        NotApplied where one of them could not take it; the others run it.
        """
        self.config = config
        await asyncio.gather(*(worker.apply(config) for worker in self._workers))
        if error := next(self._errors(), ""):
            raise NotApplied(error)

    def _errors(self) -> Iterator[str]:
        for number, worker in enumerate(self._workers):
            if worker.error:
                yield f"worker process {number + 1} of {len(self._workers)}: {worker.error}"

    async def ready(self) -> None:
        """Return when the broker has confirmed every subscription."""
        await asyncio.gather(*(worker.ready() for worker in self._workers))

    # While one process hears the same messages

    async def note(self) -> None:
        """Note the ids of the messages that come from now on."""
        await self._all(messages.Note(id=0))

    async def deafen(self) -> None:
        """Subscribe to nothing more, and return when what was sent until then has come."""
        await self._all(messages.Deafen(id=0))

    async def heard(self, ids: dict[str, tuple[str, ...]]) -> dict[str, set[str]]:
        """Which of these came to any process, by the name of the place."""
        found: dict[str, set[str]] = {}
        for answer in await self._all(messages.Heard(id=0, ids=ids)):
            for name, those in answer.heard.items():
                found.setdefault(name, set()).update(those)
        return found

    async def _all(self, request: messages.ToWorker) -> list[messages.Answer]:
        """What the processes answer; one that died says nothing, and its successor has noted nothing."""
        answers = await asyncio.gather(*(worker.ask(request) for worker in self._workers), return_exceptions=True)
        return [answer for answer in answers if isinstance(answer, messages.Answer)]

    async def close(self, grace: float = GRACE) -> None:
        """Stop: what waits is written for at most `grace` seconds, the rest stays with the broker."""
        self._closed.set()  # nobody starts another process now
        workers, self._workers = self._workers, []
        await asyncio.gather(*(worker.close(grace) for worker in workers))

    def metrics(self) -> dict[str, Any]:
        """The sums of what the processes counted; latencies are the worst of them."""
        return totals.metrics([*self._past, *(worker.counted() for worker in self._workers)], self.config.version)

    def status(self) -> dict[str, Any]:
        """For each resource and rule how the process is in which it is worst."""
        those = [worker.state.status for worker in self._workers if worker.state]
        said = [{"status": "failed", "reason": error} for error in self._errors()]
        if not those and not said:
            said = [{"status": "waiting", "reason": "the worker processes are starting"}]
        enabled = [rule.id for rule in self.config.rules if rule.enable]
        return totals.status([*those, *({"rules": dict.fromkeys(enabled, one)} for one in said)], self.config.version)

    async def perform(self, request: messages.Asked) -> messages.Answer:
        """What the processes answer, as one answer."""
        answers = await asyncio.gather(*(worker.ask(request) for worker in self._workers))
        return totals.answers(request, answers)
