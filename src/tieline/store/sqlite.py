"""Documents in one SQLite file, written ahead and synced, for a platform on one machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from tieline.store.documents import Change, Conflict, Document, Unwritable

SCHEMA = """
create table if not exists documents(
    kind text not null, id text not null, version integer not null, body blob not null, primary key (kind, id)
) without rowid
"""
BUSY_SECONDS = 5.0  # how long a write waits for another process's before it fails


class SQLiteStore:
    """A store on one file; `:memory:` keeps nothing. Used from one thread."""

    def __init__(self, path: Path | str) -> None:
        self._db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.execute(SCHEMA)

    def load(self, kind: str | None = None) -> Iterable[Document]:
        where, arguments = ("", ()) if kind is None else ("where kind = ?", (kind,))
        query = f"select kind, id, version, body from documents {where} order by kind, id"
        return [Document(*row) for row in self._db.execute(query, arguments)]

    def newest(self, kind: str, limit: int, before: str = "") -> Sequence[Document]:
        older, arguments = ("and id < ?", (before,)) if before else ("", ())
        query = f"select kind, id, version, body from documents where kind = ? {older} order by id desc limit ?"
        return [Document(*row) for row in self._db.execute(query, (kind, *arguments, limit))]

    def get(self, kind: str, id: str) -> Document | None:
        query = "select kind, id, version, body from documents where kind = ? and id = ?"
        row = self._db.execute(query, (kind, id)).fetchone()
        return Document(*row) if row else None

    def commit(self, changes: Sequence[Change]) -> None:
        try:
            self._db.execute("begin immediate")
            for change in changes:
                if not self._write(change):
                    raise Conflict(change)
            self._db.execute("commit")
        except sqlite3.OperationalError as error:
            raise Unwritable(str(error)) from error
        finally:
            if self._db.in_transaction:  # a full disk has ended it already
                self._db.execute("rollback")

    def _write(self, change: Change) -> bool:
        """Apply one change inside the open transaction; False where the version is not the expected one."""
        key = (change.kind, change.id)
        if change.expected == 0:
            if change.body is None:
                return False
            query = "insert into documents values (?, ?, 1, ?) on conflict do nothing"
            return self._db.execute(query, (*key, change.body)).rowcount == 1
        if change.body is None:
            query = "delete from documents where kind = ? and id = ? and version = ?"
            return self._db.execute(query, (*key, change.expected)).rowcount == 1
        query = "update documents set version = version + 1, body = ? where kind = ? and id = ? and version = ?"
        return self._db.execute(query, (change.body, *key, change.expected)).rowcount == 1

    def close(self) -> None:
        self._db.close()
