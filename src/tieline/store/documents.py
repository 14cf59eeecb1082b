"""What every store offers: documents that carry a version, and commits that are all or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Document:
    """One record as it stands: `version` counts its writes from 1, `body` is JSON."""

    kind: str
    id: str
    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """One wanted write: `expected` is the version that was read (0: must not exist), `body` None deletes."""

    kind: str
    id: str
    expected: int
    body: bytes | None


class Conflict(Exception):
    """Somebody else wrote first: read again and decide again."""

    def __init__(self, change: Change) -> None:
        super().__init__(f"{change.kind} {change.id} is no longer at version {change.expected}")
        self.change = change


class Unwritable(Exception):
    """The store takes no writes now (a full disk, somebody's lock); nothing was written, and a retry may succeed."""


class Store(Protocol):
    """Documents by kind and id. A commit applies every change or none."""

    def load(self, kind: str | None = None) -> Iterable[Document]:
        """All documents, or all of one kind, in order of kind and id."""
        ...

    def newest(self, kind: str, limit: int, before: str = "") -> Sequence[Document]:
        """At most `limit` documents of a kind, the greatest id first; with `before`, those of smaller ids only."""
        ...

    def get(self, kind: str, id: str) -> Document | None:
        """One document, or None where there is none."""
        ...

    def commit(self, changes: Sequence[Change]) -> None:
        """Write all changes or none; raises Conflict for the first whose expected version is not the present one.

        Raises Unwritable where the store itself refuses.
        """
        ...

    def close(self) -> None:
        """Release the file or connection; the store is not used afterwards."""
        ...
