"""Turns at slow work, shared among those who want them: who asks for much waits behind who asks for little.

Each sender has a queue of its own, and the queues take turns. So a flood from one place makes one from another wait for
a single piece of work, not for the flood. What has no place in a queue is refused at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Crowded(Exception):
    """Too many wait already."""


class Turns:
    """`at_once` pieces of work run; of one sender `of_one` may wait, of all together `of_all`."""

    def __init__(self, at_once: int, of_one: int, of_all: int) -> None:
        self._free, self._of_one, self._of_all = at_once, of_one, of_all
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}  # the next to be served comes first

    @asynccontextmanager
    async def turn(self, sender: str) -> AsyncIterator[None]:
        """The time of one piece of work; raises Crowded."""
        if self._free:
            self._free -= 1
        else:
            await self._wait(sender)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, sender: str) -> None:
        if sum(map(len, self._queues.values())) >= self._of_all:
            self._shed(sender)
        queue = self._queues.setdefault(sender, deque())
        if len(queue) >= self._of_one:
            raise Crowded
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._pass_on()  # it had been given the turn just before
            raise
        finally:
            if turn in queue:
                queue.remove(turn)
            if not queue and self._queues.get(sender) is queue:
                del self._queues[sender]

    def _shed(self, sender: str) -> None:
        """Make room at the cost of the longest queue; raises Crowded where the sender's own would be as long."""
        longest = max(self._queues, key=lambda one: len(self._queues[one]))
        if len(self._queues[longest]) <= len(self._queues.get(sender, ())) + 1:
            raise Crowded
        self._queues[longest].pop().set_exception(Crowded())

    def _pass_on(self) -> None:
        for sender in tuple(self._queues):
            queue = self._queues.pop(sender)
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    if queue:
                        self._queues[sender] = queue  # behind the others
                    turn.set_result(None)
                    return
        self._free += 1
