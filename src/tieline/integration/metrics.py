"""What rules and actions count, under EMQX's names."""

from __future__ import annotations

from collections import Counter
from typing import Any


class RuleMetrics:
    """`matched` = `passed` + `failed`; failed for an exception, or because the condition was not true."""

    __slots__ = ("exceptions", "last_error", "last_error_at", "matched", "passed")

    def __init__(self) -> None:
        self.matched = 0
        self.passed = 0
        self.exceptions = 0
        self.last_error = ""
        self.last_error_at = 0

    def snapshot(self) -> dict[str, Any]:
        return {
            "matched": self.matched,
            "passed": self.passed,
            "failed": self.matched - self.passed,
            "failed.exception": self.exceptions,
            "failed.no_result": self.matched - self.passed - self.exceptions,
            "last_error": self.last_error,
            "last_error_at": self.last_error_at,
        }


class ActionMetrics:
    """`received` = `success` + `failed` + `dropped` + `queuing` + `inflight`, counted in rows."""

    __slots__ = (
        "dropped",
        "failed",
        "inflight",
        "last_error",
        "last_error_at",
        "queuing",
        "received",
        "retried",
        "success",
    )

    def __init__(self) -> None:
        self.received = 0
        self.success = 0
        self.failed = 0  # in the dead letters
        self.retried = 0
        self.queuing = 0
        self.inflight = 0
        self.dropped: Counter[str] = Counter()  # by reason
        self.last_error = ""
        self.last_error_at = 0

    def snapshot(self) -> dict[str, Any]:
        return {
            "received": self.received,
            "success": self.success,
            "failed": self.failed,
            "retried": self.retried,
            "queuing": self.queuing,
            "inflight": self.inflight,
            "dropped": sum(self.dropped.values()),
            **{f"dropped.{reason}": count for reason, count in sorted(self.dropped.items())},
            "last_error": self.last_error,
            "last_error_at": self.last_error_at,
        }
