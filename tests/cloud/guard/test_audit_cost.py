"""What reading a long audit log costs, in documents that a real store gives out: seconds depend on the machine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from tieline.base.secrets import Vault
from tieline.cloud.aws.accounts import Accounts
from tieline.cloud.aws.client import Aws, AwsSettings
from tieline.cloud.deployments.boot import Machine
from tieline.cloud.doctor.gather import probe_link
from tieline.cloud.model.records import Address, LinkStatus, PrivateLink
from tieline.cloud.platform.platform import Platform
from tieline.cloud.store.audit import AT_ONCE, EXPIRED, Actor, AuditLog
from tieline.cloud.store.last_change import find_noted
from tieline.cloud.store.repository import Repository
from tieline.store import Change, Document, SQLiteStore

ENTRIES = 5 * AT_ONCE  # of other records in one day, newer than all that is looked for
ADA = Actor(who="ada", means="user", source="127.0.0.1", operation="private_links_change")
LINK = PrivateLink(
    id="pl-1", deployment="d", name="orders", service_name="s", status=LinkStatus.FAILED, created="2026-01-01T00:00:00Z"
)


class Counting(SQLiteStore):
    """A store that counts the entries of the audit log that it gives out, and those that it removes."""

    entries = removed = 0

    def commit(self, changes: Sequence[Change]) -> None:
        super().commit(changes)
        self.removed += sum(change.kind.startswith("audit-2") and change.body is None for change in changes)

    def load(self, kind: str | None = None) -> Iterable[Document]:
        return self._counted(list(super().load(kind)))

    def newest(self, kind: str, limit: int, before: str = "") -> Sequence[Document]:
        return self._counted(super().newest(kind, limit, before))

    def get(self, kind: str, id: str) -> Document | None:
        found = super().get(kind, id)
        self._counted([found] if found else [])
        return found

    def _counted(self, documents: Sequence[Document]) -> Sequence[Document]:
        self.entries += sum(document.kind.startswith("audit-2") for document in documents)
        return documents


@pytest.fixture
async def store() -> Counting:
    return Counting(":memory:")


@pytest.fixture
async def platform(store: Counting, tmp_path: Path) -> AsyncIterator[Platform]:
    """A platform whose only link was changed by ada, and then by itself, before much else happened that day."""
    accounts = Accounts(Aws(AwsSettings("us-east-1", None, None, None)))
    machine = Machine(sys.executable, Address(host="127.0.0.1", port=1), tmp_path)
    made = Platform(Repository(store), accounts, Vault.open(tmp_path / "key"), machine)
    mine = made.records.acting(ADA)
    mine.commit(write=[LINK])
    mine.update(PrivateLink, LINK.id, lambda now: now.model_copy(update={"server_name": "db.internal"}))
    made.records.update(PrivateLink, LINK.id, lambda now: now.model_copy(update={"cause": "gone"}))
    others = [made.records.audit.event(ADA, "changed", "rule", f"r-{n}", f"r-{n}") for n in range(ENTRIES)]
    store.commit(made.records.audit.changes(others))
    store.entries = 0
    yield made
    await made.close()


async def test_the_last_change_of_a_link_is_one_entry(platform: Platform, store: Counting) -> None:
    [link] = platform.records.all(PrivateLink)
    last = (await probe_link(platform, link)).changed
    assert last is not None
    assert (last.who, last.action, last.after) == ("ada", "changed", {"server_name": "db.internal"})
    assert store.entries == 1


async def test_a_link_that_nobody_changed_costs_nothing(platform: Platform, store: Counting) -> None:
    platform.records.commit(write=[LINK.model_copy(update={"id": "pl-2"})])
    link = platform.records.get(PrivateLink, "pl-2")
    assert link is not None
    assert (await probe_link(platform, link)).changed is None
    assert store.entries == 0


async def test_a_last_change_that_is_kept_no_longer_is_not_told(platform: Platform, store: Counting) -> None:
    for day in platform.records.audit.days():
        await platform.records.audit.forget(day)
    store.entries = 0
    assert (await probe_link(platform, platform.records.all(PrivateLink)[0])).changed is None
    assert store.entries == 0


def as_before_the_note(store: Counting, link: PrivateLink) -> None:
    """The link as a platform wrote it that did not keep the note."""
    body = link.model_dump_json(exclude={"noted"}).encode()
    store.commit([Change(link.kind, link.id, link.version, body)])


async def test_links_that_are_older_than_the_note_get_it_once(platform: Platform, store: Counting) -> None:
    [link] = platform.records.all(PrivateLink)
    as_before_the_note(store, link)
    as_before_the_note(store, LINK.model_copy(update={"id": "pl-2"}))
    await find_noted(platform.records)
    assert [one.noted for one in platform.records.all(PrivateLink)] == [link.noted, ""]
    last = (await probe_link(platform, link)).changed
    assert last is not None and last.after == {"server_name": "db.internal"}
    store.entries = 0
    await find_noted(platform.records)
    assert store.entries == 0


async def test_a_change_while_the_log_is_searched_is_the_last(platform: Platform, store: Counting) -> None:
    [link] = platform.records.all(PrivateLink)
    as_before_the_note(store, link)
    searching = asyncio.create_task(find_noted(platform.records))
    await asyncio.sleep(0)
    changed = platform.records.acting(ADA).update(
        PrivateLink, LINK.id, lambda now: now.model_copy(update={"server_name": "other.internal"})
    )
    await searching
    assert changed is not None and changed.noted
    assert [one.noted for one in platform.records.all(PrivateLink)] == [changed.noted]


async def test_the_newest_page_reads_no_whole_day(platform: Platform, store: Counting) -> None:
    found = await platform.records.audit.page(50, "", lambda _: True)
    assert [entry.record for entry in found] == [f"r-{ENTRIES - 1 - n}" for n in range(50)]
    assert store.entries <= AT_ONCE


async def test_a_search_lets_others_go_between(platform: Platform, store: Counting) -> None:
    """Another task looks on while everything is searched: how much is read between two of its turns."""
    turns = [0]

    async def look_on() -> None:
        while True:
            turns.append(store.entries)
            await asyncio.sleep(0)

    other = asyncio.create_task(look_on())
    found = await platform.records.audit.page(100, "", lambda entry: entry.record == LINK.id)
    other.cancel()
    assert [entry.action for entry in found] == ["changed", "created"]
    turns.append(store.entries)
    assert store.entries == ENTRIES + 2
    assert max(later - earlier for earlier, later in pairwise(turns)) <= AT_ONCE


async def test_removing_a_day_lets_others_go_between(platform: Platform, store: Counting) -> None:
    turns = [0]

    async def look_on() -> None:
        while True:
            turns.append(store.removed)
            await asyncio.sleep(0)

    other = asyncio.create_task(look_on())
    for day in platform.records.audit.days():
        await platform.records.audit.forget(day)
    other.cancel()
    turns.append(store.removed)
    assert store.removed == ENTRIES + 2
    assert max(later - earlier for earlier, later in pairwise(turns)) <= AT_ONCE


async def test_a_removal_that_was_cut_off_goes_on_and_counts_everything(platform: Platform, store: Counting) -> None:
    (day,) = platform.records.audit.days()
    removing = asyncio.create_task(platform.records.audit.forget(day))
    while not store.removed:
        await asyncio.sleep(0)
    removing.cancel()
    await asyncio.gather(removing, return_exceptions=True)
    assert AT_ONCE <= store.removed < ENTRIES
    again = AuditLog(store)
    await again.forget(day)
    assert (store.removed, again.days()) == (ENTRIES + 2, [])
    [left] = store.newest(f"audit-{day}", 2)  # of today, as the clock is not of this test
    assert f'"action":"{EXPIRED}"' in left.body.decode()
    assert f'"entries":{ENTRIES + 2}' in left.body.decode()
