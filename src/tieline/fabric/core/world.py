"""Everything that exists, in memory and indexed; a transaction changes it and the store together, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import msgspec

from tieline.fabric.core.records import KINDS, Record

R = TypeVar("R", bound=Record)


class Persistence(Protocol):
    """Where committed writes go: (kind, id, version that was read, new body or None) for each changed record."""

    def __call__(self, writes: list[tuple[str, str, int, bytes | None]]) -> None: ...


class World:
    """Records by type and id. Used from one thread; every change happens inside `transaction()`."""

    def __init__(self, persist: Persistence) -> None:
        self._persist = persist
        self._records: dict[type[Record], dict[str, Record]] = {kind: {} for kind in KINDS.values()}
        self._index: dict[tuple[type[Record], str, str], dict[str, Record]] = {}
        self._versions: dict[tuple[str, str], int] = {}
        self._undo: list[tuple[type[Record], str, Record | None]] | None = None
        self._listeners: list[Callable[[], None]] = []
        self.revision = 0  # counts transactions that changed something

    def load(self, documents: Iterable[tuple[str, str, int, bytes]]) -> None:
        """Take over what the store holds: (kind, id, version, body) each."""
        for kind, id, version, body in documents:
            if kind in KINDS:
                self._place(KINDS[kind], id, msgspec.json.decode(body, type=KINDS[kind]))
                self._versions[kind, id] = version

    def subscribe(self, wake: Callable[[], None]) -> None:
        """Have `wake` called after every transaction that changed something."""
        self._listeners.append(wake)

    def get(self, kind: type[R], id: str) -> R | None:
        """One record, or None."""
        return self._records[kind].get(id)  # type: ignore[return-value]

    def all(self, kind: type[R]) -> list[R]:
        """All records of a type, in order of creation."""
        return list(self._records[kind].values())  # type: ignore[arg-type]

    def where(self, kind: type[R], field: str, value: str) -> list[R]:
        """Records of a type by `owner` or one of its INDEX fields, without a scan."""
        assert field == "owner" or field in kind.INDEX, f"{kind.KIND} is not indexed by {field}"
        return list(self._index.get((kind, field, value), {}).values())  # type: ignore[arg-type]

    def put(self, record: R) -> R:
        """Add or replace a record, inside a transaction."""
        self._journal(type(record), record.id)
        self._place(type(record), record.id, record)
        return record

    def delete(self, record: Record) -> None:
        """Remove a record, inside a transaction."""
        self._journal(type(record), record.id)
        self._place(type(record), record.id, None)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that happens inside is stored together; an exception, or a store that refuses, undoes it all."""
        assert self._undo is None, "transactions do not nest"
        self._undo = []
        try:
            yield
            changed = self._commit()
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._undo = None
        if changed:
            self.revision += 1
            for wake in self._listeners:
                wake()

    def _commit(self) -> bool:
        before = {(kind, id): old for kind, id, old in reversed(self._undo or [])}
        now = {key: self._records[key[0]].get(key[1]) for key in before}
        changed = [key for key, old in before.items() if old != now[key]]
        writes = []
        for kind, id in changed:
            record = now[kind, id]
            body = None if record is None else msgspec.json.encode(record)
            writes.append((kind.KIND, id, self._versions.get((kind.KIND, id), 0), body))
        if writes:
            self._persist(writes)
        for kind_name, id, version, body in writes:
            if body is None:
                self._versions.pop((kind_name, id), None)
            else:
                self._versions[kind_name, id] = version + 1
        return bool(writes)

    def _journal(self, kind: type[Record], id: str) -> None:
        assert self._undo is not None, "changes happen inside a transaction"
        self._undo.append((kind, id, self._records[kind].get(id)))

    def _roll_back(self) -> None:
        for kind, id, old in reversed(self._undo or []):
            self._place(kind, id, old)

    def _place(self, kind: type[Record], id: str, record: Record | None) -> None:
        old = self._records[kind].get(id)
        for field in ("owner", *kind.INDEX):
            if old is not None and (record is None or getattr(old, field) != getattr(record, field)):
                self._index[kind, field, getattr(old, field)].pop(id, None)
            if record is not None:
                self._index.setdefault((kind, field, getattr(record, field)), {})[id] = record
        if record is None:
            self._records[kind].pop(id, None)
        else:
            self._records[kind][id] = record
