"""The ways out of a lane: for each action a batcher, and before it a buffer on disk where one is wanted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from tieline.base.shutdown import cancelled
from tieline.integration.config.shapes import Action
from tieline.integration.delivery.batcher import Batcher, Buried, Done
from tieline.integration.delivery.buffer import Buffer
from tieline.integration.delivery.dead_letters import DeadLetters, letter
from tieline.integration.messages.message import Message, shown
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.base.kind import Writer

Key = tuple[str, str]  # a rule's id and an action's
DIRECTORY: Final = "buffer"
PLACES: Final = f"{DIRECTORY}/*/*"  # below the directory of a pipeline, see `place_of`
log = logging.getLogger(__name__)


def place_of(directory: Path, resource: str, key: Key) -> Path:
    """Where rows of an action wait on disk; the broker, as a place to write to, has no name."""
    return directory / DIRECTORY / (resource or "broker") / quote(".".join(key), safe="")


class Outlets:
    """`done` is called with the messages of rows that need nothing more; the directory keeps a resource's buffers."""

    def __init__(
        self,
        letters: DeadLetters,
        clock: Callable[[], float],
        done: Done,
        resource: str,
        directory: Path | None = None,
        crowded: Callable[[], bool] = lambda: False,
        rerouted: Callable[[Batcher, Buffer], None] = lambda _, __: None,
    ) -> None:
        self._crowded, self._rerouted = crowded, rerouted
        self.batchers: dict[Key, Batcher] = {}
        self._buffers: dict[Key, Buffer] = {}
        self._all: list[Batcher | Buffer] = []  # with those that are being retired
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._letters, self._clock, self._done = letters, clock, done
        self._resource, self._directory = resource, directory

    def inlet(self, key: Key, action: Action, writer: Writer) -> Batcher | Buffer:
        """Where rows of an action go from now on; what waits goes to the action as it is now."""
        batcher, buffer = self._batcher(key, action, writer), self._buffers.get(key)
        if buffer is None and self._directory is not None:
            place = place_of(self._directory, self._resource, key)
            if action.buffer_mode != "disk" and not place.exists():
                return batcher
            buffer = self._buffer(key, batcher)
        if buffer is not None:
            buffer.update(action)
        return buffer or batcher

    def _buffer(self, key: Key, batcher: Batcher) -> Buffer | None:
        """A buffer before the batcher, None where the disk takes none: the broker keeps the rows then."""
        if self._directory is None:
            return None
        try:
            buffer = self._buffers[key] = Buffer(place_of(self._directory, self._resource, key), batcher, self._done)
        except OSError as error:
            log.error("rows of action %s cannot be kept on disk: %s", batcher.action.id, error)
            return None
        self._run(buffer)
        return buffer

    def _relieve(self, key: Key, batcher: Batcher) -> bool:
        """Where an action whose rows are all refused keeps so many that its neighbours would wait, put the rest on
        disk; whether there are still too many.
        """
        if not self._crowded():
            return False
        if self.batchers.get(key) is batcher:
            buffer = self._buffers.get(key)
            if buffer is None and (buffer := self._buffer(key, batcher)) is not None:
                log.warning("action %s takes no row: its rows go to disk, so that others go on", batcher.action.id)
                self._rerouted(batcher, buffer)
            if buffer is not None:
                buffer.overflow()
        return True

    def _batcher(self, key: Key, action: Action, writer: Writer) -> Batcher:
        batcher = self.batchers.get(key)
        if batcher is None:
            rule = key[0]

            def bury(rows: Sequence[Buried]) -> None:
                now, known = int(self._clock() * 1000), dict[int, Any]()
                made = (letter(m, rule, action.id, why, now, shown(output), known) for output, m, why in rows)
                self._letters.add(made)

            batcher = self.batchers[key] = Batcher(action, writer, self._done, bury, self._clock, rule)
            batcher.relieve = partial(self._relieve, key, batcher)
            self._run(batcher)
        elif batcher.action != action or batcher.writer is not writer:
            batcher.update(action, writer)
        return batcher

    def _run(self, one: Batcher | Buffer) -> None:
        self._all.append(one)
        self._tasks[one] = asyncio.create_task(one.run())
        self._tasks[one].add_done_callback(partial(_ended, one))

    def keep(self, wanted: Collection[Key]) -> None:
        """Retire the ways of all other actions: what waits is written if that succeeds at once."""
        for key in self.batchers.keys() - set(wanted):
            batcher, buffer = self.batchers.pop(key), self._buffers.pop(key, None)
            batcher.retire()
            self._tasks[key] = asyncio.create_task(self._finish(key, batcher, buffer))

    async def _finish(self, key: Key, batcher: Batcher, buffer: Buffer | None) -> None:
        if buffer is not None:
            await buffer.drained()
        await batcher.drained()
        for one in (buffer, batcher):
            if one is not None:
                self._tasks.pop(one).cancel()
                self._all.remove(one)
        if buffer is not None:
            buffer.remove()
        self._tasks.pop(key, None)

    def held(self) -> Iterator[Message]:
        """The messages of rows that are not safe, some perhaps more than once."""
        for one in self._all:
            yield from one.held()

    def places(self) -> dict[Path, Buffer]:
        """The buffers by their directories."""
        return {one.spool.directory: one for one in self._all if isinstance(one, Buffer)}

    async def drained(self) -> None:
        """Return when no row waits."""
        await asyncio.gather(*(buffer.drained() for buffer in self._buffers.values()))
        await asyncio.gather(*(batcher.drained() for batcher in self.batchers.values()))

    async def close(self, grace: float) -> None:
        """Write for at most `grace` seconds what waits in memory."""
        if self.batchers and grace > 0:
            waiting = [asyncio.ensure_future(batcher.drained()) for batcher in self.batchers.values()]
            _, late = await asyncio.wait(waiting, timeout=grace)
            for one in late:
                one.cancel()

    async def end(self) -> None:
        """Stop everything."""
        await cancelled(*self._tasks.values())


def _ended(one: Batcher | Buffer, task: asyncio.Task[None]) -> None:
    """A way out that ends by itself is a fault of ours, and its rows wait: nobody is to see a green light."""
    if not task.cancelled() and (error := task.exception()):
        log.error("action %s is not written any more", one.action.id, exc_info=error)
        said = f"writing ended by a fault of ours: {type(error).__name__}: {error}"
        batcher = one.batcher if isinstance(one, Buffer) else one
        batcher.trouble = Unavailable("statement", said, "restart the agent, and report it with the agent's log")
