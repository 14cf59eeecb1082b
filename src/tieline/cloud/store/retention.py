"""How long the platform keeps what nobody needs for ever: one setting, and what is too old by it; pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Annotated, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tieline.cloud.model.records import HISTORY_LIMIT, Stored, Value

SETTING = "retention"  # the id of the only record
FOR_EVER = 0
#: Days of the audit log that nobody can do without: who steals an administrator's key cannot empty the log at once.
LEAST_AUDIT_DAYS = 30
MOST_AUDIT_DAYS = 36_500
MOST_TRAFFIC_MINUTES = 60

R = TypeVar("R", bound=Stored)
V = TypeVar("V", bound="RetentionView")


def _enough(days: int) -> int:
    if FOR_EVER < days < LEAST_AUDIT_DAYS:
        raise ValueError(f"{LEAST_AUDIT_DAYS} days at least, or 0 for ever")
    return days


AuditDays = Annotated[
    int,
    Field(ge=FOR_EVER, le=MOST_AUDIT_DAYS, description=f"of the audit log: {LEAST_AUDIT_DAYS} at least, or 0 for ever"),
    AfterValidator(_enough),
]
HistoryEntries = Annotated[
    int, Field(ge=1, le=500, description="in the history of each deployment and private link, the newest")
]
MetricsMinutes = Annotated[
    int, Field(ge=10, le=360, description="of the counters of rules and actions, in each agent's memory")
]
TrafficMinutes = Annotated[
    int, Field(ge=1, le=MOST_TRAFFIC_MINUTES, description="of what private links carry, in the platform's memory")
]


class RetentionView(Value):
    """How long things are kept. What is older goes by itself, and does not come back."""

    audit_days: AuditDays = FOR_EVER
    history_entries: HistoryEntries = HISTORY_LIMIT
    metrics_minutes: MetricsMinutes = 60
    traffic_minutes: TrafficMinutes = 5


class Retention(RetentionView, Stored):
    """The setting as stored, from its first change on."""

    kind: ClassVar[str] = "retention"
    always: ClassVar[bool] = True
    id: str = SETTING
    name: ClassVar[str] = SETTING  # as the audit log calls it


class RetentionChange(BaseModel):
    """What should be kept for another time; null is the default again."""

    model_config = ConfigDict(extra="forbid")

    audit_days: AuditDays | None = None
    history_entries: HistoryEntries | None = None
    metrics_minutes: MetricsMinutes | None = None
    traffic_minutes: TrafficMinutes | None = None


def changed(present: V, wanted: RetentionChange) -> V:
    """The setting with what was asked for."""
    defaults, asked = RetentionView(), wanted.model_dump(exclude_unset=True)
    return present.model_copy(
        update={name: getattr(defaults, name) if value is None else value for name, value in asked.items()}
    )


def expired(days: Iterable[str], audit_days: int, today: date) -> list[str]:
    """The days of the audit log, as 2026-01-31, that are over for longer than it is kept; the oldest first."""
    if audit_days == FOR_EVER:
        return []
    first = (today - timedelta(days=audit_days)).isoformat()
    return sorted(day for day in days if day < first)


def shortened(record: R, history_entries: int) -> R:
    """The record with no more history than is kept."""
    history = getattr(record, "history", ())
    return (
        record.model_copy(update={"history": history[-history_entries:]}) if len(history) > history_entries else record
    )
