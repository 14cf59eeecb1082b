"""What reading a long audit log costs, in documents that a real store gives out: seconds depend on the machine."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from tieline.cloud.accounts import Accounts
from tieline.cloud.audit import AT_ONCE, Actor
from tieline.cloud.aws import Aws, AwsSettings
from tieline.cloud.deployments.boot import Machine
from tieline.cloud.doctor.gather import probe_link
from tieline.cloud.platform import Platform
from tieline.cloud.records import Address, LinkStatus, PrivateLink
from tieline.cloud.repository import Repository
from tieline.cloud.secrets import Vault
from tieline.store import Document, SQLiteStore

ENTRIES = 5 * AT_ONCE  # of other records in one day, newer than all that is looked for
ADA = Actor(who="ada", means="user", source="127.0.0.1", operation="private_links_change")
LINK = PrivateLink(
    id="pl-1", deployment="d", name="orders", service_name="s", status=LinkStatus.FAILED, created="2026-01-01T00:00:00Z"
)


class Counting(SQLiteStore):
    """A store that counts the entries of the audit log that it gives out."""

    entries = 0

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
        platform.records.audit.forget(day)
    store.entries = 0
    assert (await probe_link(platform, platform.records.all(PrivateLink)[0])).changed is None
    assert store.entries == 0


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
