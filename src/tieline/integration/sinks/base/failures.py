"""The two ways in which a write fails, and the places where it does."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal

#: The places at which a way to a database can be interrupted, in the order of the way.
Hop = Literal["name", "address", "tcp", "tls", "login", "database", "statement"]
#: What came back from the database. `away`: nothing that concerns the rows, as it was not reached, or said of itself
#: that it takes nothing. `answer`: an error as the answer to these rows, which may be the rows' fault. `silence`: no
#: answer in time, or the end of the connection, after the rows were sent.
Came = Literal["away", "answer", "silence"]


class Unavailable(Exception):
    """The database did not take the rows, and may take the same rows later.

    `hop` is where it failed, the message says what, `hint` what to do, and `cause` is the last low-level error.
    `written` has the rows that are in all the same, by their place. `came` says what came back; an answer to single
    rows stands in `rows`, by their place. `retry_after`: the seconds for which the database asks to be left alone.
    """

    def __init__(
        self,
        hop: Hop,
        message: str,
        hint: str = "",
        cause: str = "",
        written: Collection[int] = frozenset(),
        came: Came = "away",
        rows: Mapping[int, str] | None = None,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.hop = hop
        self.message = message
        self.hint = hint
        self.cause = cause
        self.written = written
        self.came = came
        self.rows = dict(rows or {})
        self.retry_after = retry_after


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
