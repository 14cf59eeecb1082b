"""How often somebody may fail to prove who they are, and how often ask, before they have to wait."""

from __future__ import annotations

from dataclasses import dataclass

MOST_KEYS = 10_000  # remembered at a time; the oldest go first, so that memory is bounded


@dataclass(frozen=True)
class Limit:
    """A bucket of `burst` attempts that refills at one per `seconds`."""

    burst: int
    seconds: float


#: Guessing a password at one per 12 s takes longer than its owner needs to notice; a typing error costs nothing.
LOGIN = Limit(burst=5, seconds=12.0)
#: Of one source, under whatever names: a fortieth of what two threads compute. What succeeds is given back.
SOURCE = Limit(burst=60, seconds=1.0)
#: Keys have 192 bits: this bounds the load and the log, not the odds.
KEYS = Limit(burst=100, seconds=0.6)
#: One caller's requests: twice what EMQX Cloud allows (emqx.md, 1.6); one in a loop leaves the platform to others.
REQUESTS = Limit(burst=1000, seconds=0.005)


class Untold:
    """Counts what is alike and too much to be told each: one in `seconds` is, with the number of those before it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._told: dict[str, tuple[float, int]] = {}  # when one was told, and how many came since

    def count(self, key: str, now: float) -> int | None:
        """How many were not told before this one, which is to be told; None where this one is not, either."""
        at, since = self._told.pop(key, (now - self._seconds, 0))
        tell = now - at >= self._seconds
        if len(self._told) >= MOST_KEYS:
            del self._told[next(iter(self._told))]
        self._told[key] = (now, 0) if tell else (at, since + 1)
        return since if tell else None


class Attempts:
    """Counts attempts by key, in memory: a restart forgets them."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._filled: dict[str, float] = {}  # when the bucket of a key will be full again

    def wait(self, key: str, now: float) -> float:
        """The seconds until the next attempt is heard; 0 where it is now."""
        capacity = self._limit.burst * self._limit.seconds
        missing = self._filled.get(key, now) - now
        return max(0.0, missing + self._limit.seconds - capacity)

    def add(self, key: str, now: float) -> None:
        """Count one attempt."""
        filled = max(self._filled.pop(key, now), now) + self._limit.seconds
        if len(self._filled) >= MOST_KEYS:
            del self._filled[next(iter(self._filled))]
        self._filled[key] = filled

    def give_back(self, key: str) -> None:
        """Take one attempt back: it did no harm, or was not heard."""
        if key in self._filled:
            self._filled[key] -= self._limit.seconds

    def forget(self, key: str) -> None:
        """A success clears what was counted."""
        self._filled.pop(key, None)
