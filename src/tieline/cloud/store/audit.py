"""The log of every change: who changed what from where, before and after, written in the same commit as the change.

Entries are documents that nothing changes. They go by whole days once they are older than is kept, and the log says so.
A kind for each day keeps a page from reading the whole log.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pydantic import BaseModel, Field

from tieline.cloud.model.records import MASK, Deployment, Stored
from tieline.store import Change, Document, Store

DAYS = "audit-days"
AT_ONCE = 200  # entries read or removed in one go while other requests wait: a few milliseconds
GONE = "gone"  # of a day that is being removed: the entries of it that went already
EXPIRED = "expired"  # the action of an entry that stands for the entries of a day


class Actor(BaseModel):
    """Who makes a change."""

    who: str
    means: str = Field(description="key, user, or login; platform where nobody asked for it")
    source: str = Field(description="the address that the request came from")
    operation: str = Field(default="", description="the operation of the REST interface")


class AuditEntry(Actor):
    """One change of one record; secrets are shown as ******."""

    id: str
    at: str = Field(description="RFC 3339, UTC")
    action: str = Field(description="created, changed, deleted; or what was tried")
    kind: str
    record: str = Field(description="the record's id")
    name: str
    projects: tuple[str, ...] = ()
    before: dict[str, Any] | None = Field(default=None, description="the changed fields as they were")
    after: dict[str, Any] | None = Field(default=None, description="the changed fields as they are now")


class AuditLog:
    """The log in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._days = set(self.days())

    def entry(self, actor: Actor, before: Stored | None, after: Stored | None) -> AuditEntry | None:
        """What is to be noted of a change; None where nothing of people's changed."""
        record = after or before
        if record is None or not record.audited:
            return None
        old, new = _plain(before), _plain(after)
        changed = [name for name in (new or old or {}) if (old or {}).get(name) != (new or {}).get(name)]
        if not changed:
            return None
        return self.event(
            actor,
            "changed" if old and new else "created" if new else "deleted",
            record.kind,
            record.id,
            getattr(record, "name", record.id),
            self._projects(record),
            _masked(record, old, changed),
            _masked(record, new, changed),
        )

    def event(
        self,
        actor: Actor,
        action: str,
        kind: str,
        record: str,
        name: str,
        projects: tuple[str, ...] = (),
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
    ) -> AuditEntry:
        """An entry with its time and id."""
        now = time.time_ns()
        at = datetime.fromtimestamp(now / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return AuditEntry(
            **actor.model_dump(),
            id=f"{now:020d}-{secrets.token_hex(4)}",
            at=at,
            action=action,
            kind=kind,
            record=record,
            name=name,
            projects=projects,
            before=before,
            after=after,
        )

    def changes(self, entries: Iterable[AuditEntry]) -> list[Change]:
        """The documents of these entries, to be committed with the change that they tell of."""
        found: list[Change] = []
        for entry in entries:
            day = entry.at[:10]
            if day not in self._days and self._store.get(DAYS, day) is None:
                found.append(Change(DAYS, day, 0, b"{}"))
            self._days.add(day)
            found.append(Change(f"audit-{day}", entry.id, 0, entry.model_dump_json().encode()))
        return found

    def write(self, entry: AuditEntry) -> None:
        """Note what is no change of a record."""
        self._store.commit(self.changes([entry]))

    def days(self) -> list[str]:
        """The days that have entries, as 2026-01-31, in order."""
        return [document.id for document in self._store.load(DAYS)]

    async def forget(self, day: str) -> None:
        """Remove a day's entries for ever, and note how many they were. Others go between the portions; where one
        cannot go, the next call goes on from there, and counts what went before.
        """
        while self._fewer(day):
            await asyncio.sleep(0)

    def _fewer(self, day: str) -> bool:
        """Remove one portion of a day, at the end the day itself; whether more is left."""
        marker = self._store.get(DAYS, day)
        if marker is None:
            return False
        portion = self._store.newest(f"audit-{day}", AT_ONCE)
        gone = json.loads(marker.body).get(GONE, 0) + len(portion)
        removed = [Change(document.kind, document.id, document.version, None) for document in portion]
        if len(portion) == AT_ONCE:
            counted = Change(DAYS, day, marker.version, json.dumps({GONE: gone}).encode())
            self._store.commit([*removed, counted])
            return True
        actor = Actor(who="platform", means="platform", source="")
        entry = self.event(actor, EXPIRED, "audit-log", day, day, before={"entries": gone})
        self._store.commit([*removed, Change(DAYS, day, marker.version, None), *self.changes([entry])])
        self._days.discard(day)
        return False

    def find(self, id: str) -> AuditEntry | None:
        """One entry by its id; None where it is kept no longer."""
        document = self._store.get(f"audit-{_day(id)}", id)
        return _read(document) if document else None

    async def page(self, limit: int, before: str, wanted: Callable[[AuditEntry], bool]) -> list[AuditEntry]:
        """The newest entries that are `wanted`, older than the id `before`; at most `limit`."""
        found: list[AuditEntry] = []
        for day in reversed(self.days()):
            last = before
            if last and day > _day(last):
                continue
            while len(found) < limit and (documents := self._store.newest(f"audit-{day}", AT_ONCE, last)):
                found += islice(filter(wanted, map(_read, documents)), limit - len(found))
                last = documents[-1].id
                await asyncio.sleep(0)  # other requests go between
        return found

    def _projects(self, record: Stored) -> tuple[str, ...]:
        """The projects that a record belongs to: its own, or its deployment's."""
        if isinstance(record, Deployment):
            return (record.project,)
        own: tuple[str, ...] | None = getattr(record, "projects", None)
        if own is not None:
            return own
        document = self._store.get(Deployment.kind, getattr(record, "deployment", ""))
        return (json.loads(document.body).get("project", "default"),) if document else ()


def _day(id: str) -> str:
    """The day of the entry with this id."""
    return datetime.fromtimestamp(int(id[:20]) / 1e9, UTC).date().isoformat()


def _read(document: Document) -> AuditEntry:
    return AuditEntry.model_validate_json(document.body)


def _plain(record: Stored | None) -> dict[str, Any] | None:
    return record.model_dump(mode="json", exclude=set(record.unaudited)) if record else None


def _masked(record: Stored, plain: dict[str, Any] | None, changed: list[str]) -> dict[str, Any] | None:
    if plain is None:
        return None
    return {name: MASK if name in record.hidden and plain.get(name) else plain.get(name) for name in changed}
