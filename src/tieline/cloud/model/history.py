"""Time in records, and the history that each of them keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

from tieline.cloud.model.records import Deployment, HistoryEntry, PrivateLink

H = TypeVar("H", Deployment, PrivateLink)


def timestamp(now: float) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(at: str) -> float:
    """Seconds since the epoch of a timestamp."""
    return datetime.fromisoformat(at).timestamp()


def remembered(record: H, at: str, who: str, event: str) -> H:
    """The record with one more entry in its history; the repository lets the oldest go."""
    entries = (*record.history, HistoryEntry(at=at, who=who, event=event))
    return record.model_copy(update={"history": entries})
