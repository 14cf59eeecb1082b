"""What is too old by the platform's retention, and its removal from a real store, with a clock of the test's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

import pytest
from pydantic import ValidationError

from tieline.cloud.model.history import remembered
from tieline.cloud.model.records import HISTORY_LIMIT, PrivateLink
from tieline.cloud.store.audit import Actor
from tieline.cloud.store.housekeeping import Housekeeping
from tieline.cloud.store.repository import Repository
from tieline.cloud.store.retention import Retention, RetentionChange, RetentionView, changed, expired
from tieline.store import Change, SQLiteStore, Unwritable

TODAY = datetime(2026, 3, 31, 12, tzinfo=UTC)
DAYS = ("2026-02-28", "2026-03-01", "2026-03-02", "2026-03-31")


class Stubborn(SQLiteStore):
    """A store that refuses to delete documents of one kind, as where its disk fails."""

    kind = ""

    def commit(self, changes: Sequence[Change]) -> None:
        if any(change.kind == self.kind and change.body is None for change in changes):
            raise Unwritable("disk I/O error")
        super().commit(changes)


@pytest.fixture
def store() -> Iterator[Stubborn]:
    made = Stubborn(":memory:")
    yield made
    made.close()


@pytest.fixture
def records(store: Stubborn) -> Repository:
    """A log of four days, two entries each."""
    made = Repository(store)
    for day in DAYS:
        stamp = round(datetime.fromisoformat(f"{day}T10:00:00+00:00").timestamp()) * 10**9
        for number in range(2):
            entry = made.audit.event(Actor(who="ada", means="user", source=""), "created", "rule", "r", "r")
            made.audit.write(entry.model_copy(update={"at": f"{day}T10:00:00Z", "id": f"{stamp + number:020d}-0"}))
    return made


def link(entries: int) -> PrivateLink:
    made = PrivateLink(id="link-1", deployment="d", name="l", service_name="s", created="")
    for number in range(entries):
        made = remembered(made, "", "ada", str(number))
    return made


@pytest.mark.parametrize(
    ("days", "gone"),
    [(0, []), (30, ["2026-02-28"]), (31, []), (29, ["2026-02-28", "2026-03-01"]), (36_500, [])],
)
def test_a_day_expires_when_it_is_over_for_so_long(days: int, gone: list[str]) -> None:
    assert expired(DAYS, days, date(2026, 3, 31)) == gone


def test_null_is_the_default_again_and_what_is_left_out_stays() -> None:
    present = RetentionView(audit_days=90, history_entries=7)
    assert changed(present, RetentionChange(audit_days=None)) == RetentionView(history_entries=7)
    assert changed(present, RetentionChange()) == present


@pytest.mark.parametrize("wrong", [{"audit_days": 29}, {"audit_days": -1}, {"history_entries": 0}, {"days": 3}])
def test_nobody_can_empty_the_log_or_keep_nothing(wrong: dict[str, int]) -> None:
    with pytest.raises(ValidationError):
        RetentionChange.model_validate(wrong)


async def test_days_go_whole_and_the_log_says_so(records: Repository) -> None:
    records.commit(write=[Retention(audit_days=30)])
    await Housekeeping(records, lambda: TODAY).tidy()
    await Housekeeping(records, lambda: TODAY).tidy()  # again: nothing is left to do
    entries = await records.audit.page(100, "", lambda _: True)
    told = [entry for entry in entries if entry.action == "expired"]
    assert [(entry.name, entry.who, entry.before) for entry in told] == [("2026-02-28", "platform", {"entries": 2})]
    assert [entry.at[:10] for entry in entries if entry.who == "ada"] == [day for day in DAYS[:0:-1] for _ in "ab"]


async def test_nothing_goes_unless_somebody_says_so(records: Repository) -> None:
    await Housekeeping(records, lambda: TODAY.replace(year=2126)).tidy()
    assert len(await records.audit.page(100, "", lambda _: True)) == 2 * len(DAYS)


async def test_a_day_that_cannot_go_keeps_no_other(records: Repository, store: Stubborn) -> None:
    records.commit(write=[Retention(audit_days=30)])
    store.kind = "audit-2026-02-28"
    late = TODAY.replace(month=4, day=1)
    await Housekeeping(records, lambda: late).tidy()
    assert [day for day in records.audit.days() if day in DAYS] == ["2026-02-28", *DAYS[2:]]
    store.kind = ""
    await Housekeeping(records, lambda: late).tidy()
    assert [day for day in records.audit.days() if day in DAYS] == list(DAYS[2:])


async def test_a_history_keeps_its_newest_entries(records: Repository) -> None:
    records.commit(write=[link(HISTORY_LIMIT + 5)])
    kept = records.all(PrivateLink)[0].history
    assert [entry.event for entry in kept] == [str(number) for number in range(5, HISTORY_LIMIT + 5)]
    records.commit(write=[Retention(history_entries=2)])
    await Housekeeping(records, lambda: TODAY).tidy()  # without any write of its own
    assert [entry.event for entry in records.all(PrivateLink)[0].history] == ["53", "54"]
