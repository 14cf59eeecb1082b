"""The connections of one server: how many there may be, which has to make room, and which have taken too long.

Where all places are taken, a new connection gets the place of one that waits for its client: of the source that has the
most connections, the one that has waited longest. So silent or slow clients can keep nobody out who asks at once. Only
where every connection is being served is a new one turned away.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Protocol

from tieline.base.http.limits import Limits
from tieline.base.http.sources import source

SWEEP_SECONDS = 1.0


class Member(Protocol):
    """A connection, as far as its place is concerned."""

    address: str  # of the client

    def waits(self) -> bool:
        """Whether it is the client's turn."""

    def waiting_since(self) -> float:
        """The loop's time at which the client's turn began."""

    def overdue(self, now: float) -> str:
        """Why it has to end now; empty where it may go on."""

    def expire(self, why: str) -> None:
        """End it."""

    def give_way(self) -> None:
        """End it at once, for another."""


class Connections:
    """The connections that hold a place, and a look at their times every second while there are any."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._members: set[Member] = set()
        self._next: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._members)

    def enter(self, member: Member) -> bool:
        """Take a place, if need be another's; False where there is none to be had."""
        if len(self._members) >= self._limits.connections and not self._make_room():
            return False
        self._members.add(member)
        if self._next is None:
            self._next = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)
        return True

    def leave(self, member: Member) -> None:
        """Give a place back; more than once does no harm."""
        self._members.discard(member)

    def _make_room(self) -> bool:
        held = Counter(source(member.address) for member in self._members)
        waiting = [member for member in self._members if member.waits()]
        if not waiting:
            return False
        victim = min(waiting, key=lambda member: (-held[source(member.address)], member.waiting_since()))
        self._members.discard(victim)
        victim.give_way()
        return True

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for member in tuple(self._members):
            if why := member.overdue(now):
                member.expire(why)
        self._next = loop.call_later(SWEEP_SECONDS, self._sweep) if self._members else None
