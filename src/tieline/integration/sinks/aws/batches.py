"""Rows in requests of limited size: each row written, handed back to be tried again, or refused, and none forgotten.

AWS's batch operations may take a part of a request. What they hand back is sent again for a while; then the batch is
told which rows are in, so that it tries the others only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tieline.integration.sinks.base.failures import Rejected, Unavailable

#: Seconds between attempts at what was handed back, under throttling; AWS recommends growing pauses.
PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
BUSY_HINT: Final = "raise the capacity; writing goes on by itself"


@dataclass(frozen=True)
class Entry:
    """One member of a request: the rows that it stands for, by their places, and its size in bytes."""

    places: tuple[int, ...]
    body: Any
    size: int


@dataclass(frozen=True)
class Answer:
    """Which entries of a request were handed back and which were refused, by their index, each with the reason."""

    again: Mapping[int, str] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)


Send = Callable[[list[Any]], Awaitable[Answer]]


@dataclass(frozen=True)
class Limits:
    """What one request may hold."""

    entries: int
    bytes: int


class Delivery:
    """One batch on its way. `send` makes one request and raises Unavailable or Rejected where all of it failed."""

    def __init__(self, send: Send, limits: Limits, ordered: bool = False) -> None:
        self._send = send
        self._limits = limits
        self._ordered = ordered  # one request after another, and none after one that was not taken whole
        self._written: list[int] = []
        self._refused: dict[int, str] = {}
        self._left: list[Entry] = []
        self._trouble: Unavailable | None = None
        self._reason = ""  # why something was handed back

    async def write(self, entries: Sequence[Entry], refused: Mapping[int, str] | None = None) -> None:
        """Write every entry; rows in `refused` are refused already. Raises Rejected or Unavailable, which tell what is
        in all the same.
        """
        self._refused.update(refused or {})
        self._left = list(entries)
        for pause in (*PAUSES, None):
            await self._attempt()
            if not self._left or pause is None or self._trouble is not None:
                break
            await asyncio.sleep(pause)
        if self._refused:
            raise Rejected("rows that are not taken", self._refused, self._written)
        if self._left:
            trouble = self._trouble or Unavailable("database", "AWS took a part of the rows", BUSY_HINT, self._reason)
            trouble.written = tuple(self._written)
            raise trouble

    async def _attempt(self) -> None:
        """Send what is left once. What is handed back is trouble only after the last attempt."""
        requests = list(chunks(self._left, self._limits))
        self._left = []
        self._trouble = None
        if not self._ordered:
            await asyncio.gather(*map(self._request, requests))
        for place, request in enumerate(requests if self._ordered else ()):
            await self._request(request)
            if self._left:
                self._left += [entry for later in requests[place + 1 :] for entry in later]
                break

    async def _request(self, entries: list[Entry]) -> None:
        try:
            answer = await self._send([entry.body for entry in entries])
        except Unavailable as error:
            self._left += entries
            self._trouble = error
            return
        except Rejected as error:
            await self._divide(entries, error)
            return
        for index, entry in enumerate(entries):
            if index in answer.again:
                self._left.append(entry)
                self._reason = answer.again[index]
            elif index in answer.refused:
                self._refuse(entry, answer.refused[index])
            else:
                self._written += entry.places

    async def _divide(self, entries: list[Entry], error: Rejected) -> None:
        """Find what spoils a request by halving it."""
        if len(entries) == 1:
            self._refuse(entries[0], str(error))
            return
        half = len(entries) // 2
        await self._request(entries[:half])
        if self._ordered and self._left:
            self._left += entries[half:]
        else:
            await self._request(entries[half:])

    def _refuse(self, entry: Entry, reason: str) -> None:
        self._refused.update(dict.fromkeys(entry.places, reason))


def chunks(entries: Sequence[Entry], limits: Limits) -> Iterator[list[Entry]]:
    """The entries in requests; one that is larger than a request goes alone, and the service says what it thinks."""
    request: list[Entry] = []
    size = 0
    for entry in entries:
        if request and (len(request) == limits.entries or size + entry.size > limits.bytes):
            yield request
            request, size = [], 0
        request.append(entry)
        size += entry.size
    if request:
        yield request
