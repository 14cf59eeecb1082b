"""Typed access to the records: read as values, written back only over the version that was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from tieline.cloud.records import Stored
from tieline.store import Change, Conflict, Document, Store

ATTEMPTS = 10  # a write that lost this often against others is a fault of its own

R = TypeVar("R", bound=Stored)


class Repository:
    """Records by type and id, on any store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, type: type[R], id: str) -> R | None:
        """One record, or None."""
        document = self._store.get(type.kind, id)
        return _parse(type, document) if document else None

    def all(self, type: type[R], where: Callable[[R], bool] = lambda _: True) -> list[R]:
        """Every record of a type that `where` holds for, in order of id."""
        records = (_parse(type, document) for document in self._store.load(type.kind))
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
        written = [_change(record, record.model_dump_json().encode()) for record in write]
        self._store.commit(written + [_change(record, None) for record in delete])

    def close(self) -> None:
        """Release the store."""
        self._store.close()


def _change(record: Stored, body: bytes | None) -> Change:
    return Change(record.kind, record.id, record.version, body)


def _parse(type: type[R], document: Document) -> R:
    return type.model_validate_json(document.body).model_copy(update={"version": document.version})
