"""What rules and actions count, under EMQX's names, and how it went lately."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import Any, Final

INTERVAL: Final = 5.0  # seconds between samples
MINUTES: Final = 60  # that samples are kept unless the configuration says otherwise
RECENT: Final = 300 // 5  # samples in "the last five minutes"
STEPS: Final = 8  # buckets of latency per doubling, which makes them at most 9 % wide
WEIGHED: Final = 16  # rows of a batch whose latency is looked at


class RuleMetrics:
    """`matched` = `passed` + `failed`; failed for an exception, or because the condition was not true."""

    __slots__ = ("exceptions", "history", "last_error", "last_error_at", "matched", "passed")

    def __init__(self) -> None:
        self.history = History()
        self.reset()

    def reset(self) -> None:
        """Count from zero."""
        self.matched = 0
        self.passed = 0
        self.exceptions = 0
        self.last_error = ""
        self.last_error_at = 0  # Unix milliseconds
        self.history.reset()

    def snapshot(self) -> dict[str, Any]:
        """The counters by name."""
        return {
            "matched": self.matched,
            "passed": self.passed,
            "failed": self.matched - self.passed,
            "failed.exception": self.exceptions,
            "failed.no_result": self.matched - self.passed - self.exceptions,
            "last_error": self.last_error,
            "last_error_at": self.last_error_at,
            **self.history.rates(),
        }

    def fail(self, error: str, now: int) -> None:
        """Count a message that the rule could not be applied to, at this Unix time in milliseconds."""
        self.matched += 1
        self.exceptions += 1
        self.last_error, self.last_error_at = error, now

    def sample(self, now: float) -> None:
        """Note the present counters."""
        self.history.add(now, self.matched, self.passed, self.matched - self.passed)


class ActionMetrics:
    """`received` = `success` + `failed` + `dropped` + `queuing` + `inflight`, counted in rows."""

    __slots__ = (
        "buffered",
        "buffered_bytes",
        "dropped",
        "failed",
        "history",
        "inflight",
        "last_error",
        "last_error_at",
        "latency",
        "queuing",
        "received",
        "retried",
        "success",
    )

    def __init__(self) -> None:
        self.history = History()
        self.inflight = 0
        self.queuing = 0
        self.buffered = 0  # rows on disk that wait, and are not in memory
        self.buffered_bytes = 0
        self.reset()

    def reset(self) -> None:
        """Count from zero; what waits is counted as received again."""
        self.received = self.inflight
        self.success = 0
        self.failed = 0  # in the dead letters
        self.retried = 0
        self.dropped: Counter[str] = Counter()  # by reason
        self.last_error = ""
        self.last_error_at = 0  # Unix milliseconds
        self.latency = Latency()
        self.history.reset()

    def snapshot(self) -> dict[str, Any]:
        """The counters by name; latencies in milliseconds from arrival to commit."""
        return {
            "received": self.received + self.queuing + self.buffered,
            "success": self.success,
            "failed": self.failed,
            "retried": self.retried,
            "queuing": self.queuing + self.buffered,
            "queuing_bytes": self.buffered_bytes,
            "inflight": self.inflight,
            "dropped": sum(self.dropped.values()),
            **{f"dropped.{reason}": count for reason, count in sorted(self.dropped.items())},
            "last_error": self.last_error,
            "last_error_at": self.last_error_at,
            **self.latency.percentiles(),
            **self.history.rates(),
        }

    def sample(self, now: float) -> None:
        """Note the present counters."""
        received = self.received + self.queuing + self.buffered
        self.history.add(now, received, self.success, self.failed, sum(self.dropped.values()))


class Latency:
    """How long rows took, in buckets that grow by a fixed ratio."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._most = 0.0

    def add(self, milliseconds: float, rows: float) -> None:
        """So many rows took so long."""
        self._buckets[round(math.log2(max(milliseconds, 0) + 1) * STEPS)] += rows  # type: ignore[assignment]
        self._most = max(self._most, milliseconds)

    def percentiles(self) -> dict[str, float]:
        """The time within which half, 95 % and 99 % of the rows were safe, and the longest."""
        total, found, seen = sum(self._buckets.values()), {}, 0.0
        wanted = {"latency.p50": 0.5, "latency.p95": 0.95, "latency.p99": 0.99}
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            for name, share in wanted.items():
                if name not in found and seen >= share * total:
                    found[name] = round(2 ** (bucket / STEPS) - 1, 2)
        return {**dict.fromkeys(wanted, 0.0), **found, "latency.max": round(self._most, 2)}


class History:
    """Counters at regular times, from which rates come. The first counter is the one whose rate is told."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, tuple[int, ...]]] = deque()
        self.keep(MINUTES)
        self._highest = 0.0

    def keep(self, minutes: int) -> None:
        """Keep the newest samples of so many minutes, from now on."""
        most = round(minutes * 60 / INTERVAL)
        if self._points.maxlen != most:
            self._points = deque(self._points, maxlen=most)

    def reset(self) -> None:
        """Forget everything."""
        self._points.clear()
        self._highest = 0.0

    def add(self, now: float, *counters: int) -> None:
        """The counters at this time."""
        self._points.append((now, counters))
        self._highest = max(self._highest, self._rate(1))

    def _rate(self, back: int) -> float:
        """Counts per second since so many samples ago."""
        if len(self._points) < 2:
            return 0.0
        (then, before), (now, after) = self._points[max(-len(self._points), -1 - back)], self._points[-1]
        return (after[0] - before[0]) / (now - then) if now > then else 0.0

    def rates(self) -> dict[str, float]:
        """Per second: in the last sample, the highest so far, and the mean of the last five minutes."""
        rates = {"rate": self._rate(1), "rate.max": self._highest, "rate.last5m": self._rate(RECENT)}
        return {name: round(rate, 2) for name, rate in rates.items()}

    def points(self) -> list[tuple[float, ...]]:
        """The samples that are kept, the oldest first: Unix time, then the counters."""
        return [(time, *counters) for time, counters in tuple(self._points)]  # as a copy: a thread may ask
