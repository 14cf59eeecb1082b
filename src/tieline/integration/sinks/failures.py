"""The two ways in which a write fails, and the places where it does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

#: The places at which a way to a database can be interrupted, in the order of the way.
Hop = Literal["name", "address", "tcp", "tls", "login", "database", "statement"]


class Unavailable(Exception):
    """The database cannot take anything now, whatever the rows: the same rows are tried again later.

    `hop` is where it failed, the message says what, `hint` what to do, and `cause` is the last low-level error.
    `written` has the rows that are in all the same, by their place.
    """

    def __init__(
        self, hop: Hop, message: str, hint: str = "", cause: str = "", written: Collection[int] = frozenset()
    ) -> None:
        super().__init__(message)
        self.hop = hop
        self.message = message
        self.hint = hint
        self.cause = cause
        self.written = written


class Rejected(Exception):
    """The database takes other rows, but not these, and would not tomorrow.

    `rows` says which of them, by their place, and why; where it is empty nobody knows, and the write is to be split. Of
    the other rows only `written` were kept.
    """

    def __init__(
        self, message: str, rows: Mapping[int, str] | None = None, written: Collection[int] = frozenset()
    ) -> None:
        super().__init__(message)
        self.rows = dict(rows or {})
        self.written = written
