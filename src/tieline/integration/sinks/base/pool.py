"""At most so many connections to a server, made when they are needed and thrown away when the way breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from tieline.integration.sinks.base.failures import Rejected, Unavailable

Connection = TypeVar("Connection")


class Pool(Generic[Connection]):
    """`connect` makes a connection, `usable` says whether one can be used again, `discard` ends one at once."""

    def __init__(
        self,
        size: int,
        connect: Callable[[], Awaitable[Connection]],
        usable: Callable[[Connection], bool],
        discard: Callable[[Connection], None],
    ) -> None:
        self._connect = connect
        self._usable = usable
        self._discard = discard
        self._idle: list[Connection] = []
        self._places = asyncio.Semaphore(size)
        self._closed = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one piece of work; after an error of the way it is thrown away."""
        async with self._places:
            connection = self._idle.pop() if self._idle else await self._connect()
            try:
                yield connection
            except BaseException as error:
                if isinstance(error, Rejected):
                    self._give_back(connection)
                    raise
                self._discard(connection)
                if isinstance(error, Unavailable) and error.hop == "tcp":  # what broke this one broke the others
                    self._empty()
                raise
            self._give_back(connection)

    def _give_back(self, connection: Connection) -> None:
        if self._closed or not self._usable(connection):
            self._discard(connection)
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """End every connection; those at work end with it."""
        self._closed = True
        self._empty()

    def _empty(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            self._discard(connection)
