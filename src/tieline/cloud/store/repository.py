"""Typed access to the records: read as values, written back only over the version that was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from tieline.base.change_signal import Pulse
from tieline.cloud.model.records import Deployment, PrivateLink, Stored
from tieline.cloud.store.audit import Actor, AuditEntry, AuditLog
from tieline.cloud.store.retention import SETTING, Retention, shortened
from tieline.store import Change, Conflict, Document, Store

ATTEMPTS = 10  # a write that lost this often against others is a fault of its own

R = TypeVar("R", bound=Stored)


class Repository:
    """Records by type and id, on any store. What `acting` for somebody changes is in the audit log, too."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[tuple[str, str], Stored] = {}  # as last parsed: most records are read far oftener than written
        self._actor: Actor | None = None
        self.audit = AuditLog(store)
        self.pulse = Pulse()  # beats with every commit

    def acting(self, actor: Actor) -> Repository:
        """The same records, for changes that somebody makes."""
        other = Repository.__new__(Repository)
        other._store, other._read, other._actor = self._store, self._read, actor
        other.audit, other.pulse = self.audit, self.pulse
        return other

    def get(self, type: type[R], id: str) -> R | None:
        """One record, or None."""
        document = self._store.get(type.kind, id)
        return self._parse(type, document) if document else None

    def all(self, type: type[R], where: Callable[[R], bool] = lambda _: True) -> list[R]:
        """Every record of a type that `where` holds for, in order of id."""
        records = (self._parse(type, document) for document in self._store.load(type.kind))
        return [record for record in records if where(record)]

    def update(self, type: type[R], id: str, change: Callable[[R], R]) -> R | None:
        """Apply a pure change to the present record, again if somebody else was faster; None where it is gone."""
        for attempt in range(ATTEMPTS):
            before = self.get(type, id)
            if before is None or (after := change(before)) == before:
                return before
            try:
                self.commit(write=[after])
                return self.get(type, id)
            except Conflict:
                if attempt == ATTEMPTS - 1:
                    raise
        return None

    def commit(self, write: Iterable[Stored] = (), delete: Iterable[Stored] = ()) -> None:
        """Write and delete in one step, all or none; raises Conflict where a record is no longer as it was read."""
        most = self.retention().history_entries
        written, deleted = [shortened(record, most) for record in write], list(delete)
        entries = self._entries(written, deleted)
        written = [_noted(record, entries) for record in written]
        changes = [_change(record, record.model_dump_json().encode()) for record in written]
        changes += [_change(record, None) for record in deleted]
        self._store.commit(changes + self.audit.changes(entries))
        for record in deleted:
            self._read.pop((record.kind, record.id), None)
        self.pulse.beat()

    def retention(self) -> Retention:
        """How long things are kept: as it was set, or the default."""
        return self.get(Retention, SETTING) or Retention()

    def note(self, action: str, kind: str, id: str, within: Deployment, after: dict[str, Any]) -> None:
        """Note in the audit log what somebody did to something of a deployment that is no record."""
        assert self._actor is not None, "whoever notes acts for somebody"
        self.audit.write(self.audit.event(self._actor, action, kind, id, within.name, (within.project,), after=after))

    def close(self) -> None:
        """Release the store."""
        self._store.close()

    def _entries(self, written: list[Stored], deleted: list[Stored]) -> list[AuditEntry]:
        if self._actor is None:
            return []
        pairs = [(self._before(record), record) for record in written]
        entries = [self.audit.entry(self._actor, before, after) for before, after in pairs]
        entries += [self.audit.entry(self._actor, record, None) for record in deleted]
        return [entry for entry in entries if entry is not None]

    def _before(self, record: Stored) -> Stored | None:
        """The record as it is before this one is written."""
        return self.get(type(record), record.id) or (type(record)(id=record.id) if record.always else None)

    def _parse(self, type: type[R], document: Document) -> R:
        key = (document.kind, document.id)
        known = self._read.get(key)
        if isinstance(known, type) and known.version == document.version:
            return known
        record = type.model_validate_json(document.body).model_copy(update={"version": document.version})
        self._read[key] = record
        return record


def _noted(record: Stored, entries: Iterable[AuditEntry]) -> Stored:
    """The link with what the audit log says of it last, if that is among these; other records keep no such thing."""
    own = [entry.id for entry in entries if (entry.kind, entry.record) == (record.kind, record.id)]
    return record.model_copy(update={"noted": own[-1]}) if own and isinstance(record, PrivateLink) else record


def _change(record: Stored, body: bytes | None) -> Change:
    return Change(record.kind, record.id, record.version, body)
