"""PINGREQs of a session: a connection that is idle stays alive by them, and a broker answers them in their order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import mqtt5

PINGREQ: Final = mqtt5.PingReqPacket().write()


class Heartbeat:
    """Counts what is asked and answered on one connection after the other; `write` sends bytes."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._asked = self._answered = self._connection = 0
        self._news = asyncio.Event()

    def ask(self) -> None:
        """Send a PINGREQ."""
        self._asked += 1
        self._write(PINGREQ)

    def answered(self, _: mqtt5.PingRespPacket) -> None:
        """The broker's answer has come."""
        self._answered += 1
        self._news.set()

    def lost(self) -> None:
        """The connection is lost, and nothing that was asked on it is answered any more."""
        self._connection += 1
        self._asked = self._answered = 0
        self._news.set()

    async def answer(self) -> bool:
        """Ask, and return with the broker's answer: what it sent before has come. False where the connection is lost
        before.
        """
        self.ask()
        mine, connection = self._asked, self._connection
        while self._connection == connection and self._answered < mine:
            self._news.clear()
            await self._news.wait()
        return self._connection == connection
