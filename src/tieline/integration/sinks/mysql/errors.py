"""What MySQL's and MariaDB's errors mean: at which hop, and whether the same rows may be tried again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tieline.integration.sinks.base.failures import Came, Hop, Rejected, Unavailable
from tieline.integration.sinks.base.kind import driver
from tieline.integration.sinks.base.network import described, unreachable

if TYPE_CHECKING:
    import asyncmy
else:
    asyncmy = driver("asyncmy")

#: SQLSTATE classes and error numbers that speak of the rows themselves (MariaDB's and MySQL's lists of error codes).
_OF_ROWS: Final = ("21", "22", "23", "44", "45")
_ROW_NUMBERS: Final = frozenset({1153, 1265, 1292, 1364, 1366, 1367, 1411, 1526, 1644, 3140, 3819, 4025, 4038})
_ROW: Final = re.compile(r" at row (\d+)$")
_LOGIN: Final = {
    1045: (
        "the server does not let this user in",
        "check the user name, the password, and from which hosts it may come",
    ),
    1130: ("the server lets no client in from this address", "grant the user access from the link's address"),
    1698: ("the server does not let this user in by password", "give the user a password"),
    1862: ("the password has expired", "set a new one"),
    3118: ("the account is locked", "unlock it"),
    3159: ("the server takes only connections with TLS", "turn TLS on in the resource"),
    4151: ("the account is locked", "unlock it"),
}
_DATABASE: Final = {
    1044: "grant the user access to the database",
    1049: "create the database, or correct its name",
    1040: "raise max_connections, or lower pool_size",
    1203: "raise max_user_connections, or lower pool_size",
}
#: Of the server, whatever the rows: they pass, or somebody ends them.
_PASSING: Final = {
    1021: "the database's disk is full: free space; writing goes on by itself",
    1053: "wait until the server has started again",
    1114: "the table is full: free space; writing goes on by itself",
    1205: "another writer holds the rows; the write is tried again",
    1213: "two writers waited for each other; the write is tried again",
    1290: "the server is read-only: use the primary's address",
    1317: "the server stopped the statement; it is tried again",
    1836: "the server is read-only: use the primary's address",
}
#: Of these, what may be due to the rows all the same: locks that they wait for, and the time that they take.
_CAME: Final[dict[int, Came]] = {1205: "silence", 1213: "answer", 1317: "silence", 1969: "silence", 3024: "silence"}
_STATEMENT: Final = {
    1054: "add the column, or correct its name",
    1064: "correct the SQL template",
    1136: "give each column a value",
    1142: "grant the user the right to write to this table",
    1143: "grant the user the right to write to these columns",
    1146: "create the table, or correct its name",
}
_LOST: Final = frozenset({0, 1927, 2003, 2006, 2013, 2014, 2055})


def translated(error: BaseException, server: str, connecting: bool) -> Unavailable | Rejected:
    """Any error of asyncmy or of the network in the pipeline's terms."""
    if isinstance(error, (Unavailable, Rejected)):
        return error
    if isinstance(error, asyncmy.errors.MySQLError):
        number, message = (*error.args, "")[:2] if error.args else (0, "")
        if number not in _LOST:
            return _refused(int(number), str(message), str(error.sqlstate or ""), connecting)
        return unreachable(_origin(error), server, sent=not connecting)
    if isinstance(error, ValueError) and not connecting:
        return Rejected(described(error))  # a parameter that could not be encoded
    return unreachable(error, server, sent=not connecting)


def _origin(error: BaseException) -> BaseException:
    """The error of the system that the driver tells in its own words."""
    inner = error.__cause__ or error.__context__
    return inner if isinstance(inner, OSError) else error


def _refused(number: int, message: str, state: str, connecting: bool) -> Unavailable | Rejected:
    """What an answer of the server means, while connecting or for a statement."""
    cause = f"error {number} ({state}): {message}" if state else f"error {number}: {message}"
    if number in _LOGIN:
        said, hint = _LOGIN[number]
        return Unavailable("login", said, hint, cause)
    if connecting or number in _DATABASE or number in _PASSING:
        came: Came = _CAME.get(number, "away") if not connecting else "away"
        return Unavailable("database", message, _DATABASE.get(number, _PASSING.get(number, "")), cause, came=came)
    if number == 1043:
        return Unavailable("tls", "the server does not speak TLS", "turn TLS on in the server, or off here", cause)
    if number not in _STATEMENT and (state.startswith(_OF_ROWS) or number in _ROW_NUMBERS):
        row = _ROW.search(message)
        return Rejected(message, {int(row[1]) - 1: message} if row else None)
    hop: Hop = "statement"
    return Unavailable(hop, message, _STATEMENT.get(number, ""), cause, came=_CAME.get(number, "answer"))
