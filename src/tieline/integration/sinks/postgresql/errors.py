"""What PostgreSQL's and the network's errors mean: at which hop, and whether the same rows may be tried again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tieline.integration.sinks.base.failures import Came, Hop, Rejected, Unavailable
from tieline.integration.sinks.base.kind import driver
from tieline.integration.sinks.base.network import unreachable

if TYPE_CHECKING:
    import asyncpg
else:
    asyncpg = driver("asyncpg")

#: SQLSTATE classes and codes that speak of the rows themselves (PostgreSQL 15, appendix A).
_OF_ROWS: Final = ("21", "22", "23", "44", "P0001", "54000")
_CANCELLED: Final = "57014"  # the statement ran longer than statement_timeout, or somebody cancelled it
_COPY_LINE: Final = re.compile(r"^COPY .*, line (\d+)", re.MULTILINE)
#: Of the login, and of the database that was asked for.
_OF_LOGIN: Final = {
    "28P01": ("the password is wrong", "check the user name and the password"),
    "28000": ("the server does not let this user in", "check the user name, and pg_hba.conf for this client's address"),
}
_OF_DATABASE: Final = {
    "3D000": "create the database, or correct its name",
    "53300": "raise max_connections, or lower pool_size",
    "57P03": "wait until the server has started",
    "42501": "grant the user CONNECT on the database",
}
_OF_STATEMENT: Final = {
    "42P01": "create the table, or correct its name",
    "42703": "add the column, or correct its name",
    "42501": "grant the user the right to write to this table",
    "42601": "correct the SQL template",
}
#: Errors of resources, which pass: disk full, out of memory, shutting down, lost connection, deadlock.
_HINTS: Final = {
    "53100": "the database's disk is full: free space; writing goes on by itself",
    "40P01": "two writers waited for each other; the write is tried again",
    "25006": "the server is a read-only standby: use the primary's address",
}


def refused(error: asyncpg.PostgresError, connecting: bool) -> Unavailable | Rejected:
    """What an answer of the server means, while connecting or for a statement."""
    code = error.sqlstate or ""
    cause = f"{type(error).__name__}: {error} (SQLSTATE {code})"
    if connecting:
        if code in _OF_LOGIN:
            message, hint = _OF_LOGIN[code]
            return Unavailable("login", message, hint, cause)
        return Unavailable("database", str(error), _OF_DATABASE.get(code, ""), cause)
    if code.startswith(_OF_ROWS):
        return Rejected(_with_detail(error), _line(error))
    hop: Hop = "database" if code[:2] in ("08", "53", "57", "58", "25") else "statement"
    return Unavailable(hop, str(error), _OF_STATEMENT.get(code, _HINTS.get(code, "")), cause, came=_came(code))


def _came(code: str) -> Came:
    """Whether the server speaks of itself, gave no answer in time, or may mean the rows (PostgreSQL 15, appendix A)."""
    if code[:2] in ("08", "55") or code == _CANCELLED:
        return "silence"
    return "away" if code[:2] in ("53", "57", "58") or code == "25006" else "answer"


def _line(error: asyncpg.PostgresError) -> dict[int, str]:
    """The row that COPY stopped at, by its place: the server says "COPY m, line 17"."""
    found = _COPY_LINE.search(getattr(error, "context", None) or "")
    return {int(found[1]) - 1: _with_detail(error)} if found else {}


def _with_detail(error: asyncpg.PostgresError) -> str:
    """The server's message and detail in one line."""
    return ": ".join(" ".join(str(error).split()).split(" DETAIL: "))


def translated(error: BaseException, server: str, connecting: bool) -> Unavailable | Rejected:
    """Any error of asyncpg or of the network in the pipeline's terms."""
    if isinstance(error, (Unavailable, Rejected)):
        return error
    if isinstance(error, asyncpg.PostgresError):
        return refused(error, connecting)
    if isinstance(error, (asyncpg.exceptions.DataError, ArithmeticError, TypeError, ValueError)) and not connecting:
        return Rejected(str(error))  # a parameter that could not be encoded
    if isinstance(error, ConnectionError) and "rejected SSL" in str(error):
        hint = "turn TLS on in the server, or off in the resource"
        return Unavailable("tls", f"{server} does not speak TLS", hint, str(error))
    return unreachable(error, server, sent=not connecting)
