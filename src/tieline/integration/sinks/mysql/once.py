"""Writing each message once to MySQL and MariaDB: the column with its unique index, and rows that are there already.

`on duplicate key update` also takes a row whose other key is that of another row, which would leave it out in silence.
So the update looks whose row is there, and fails where it is not this message's: by a number that no double holds,
since MySQL has no function that raises an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.base.kind import driver
from tieline.integration.sinks.sql.once import COLUMN

if TYPE_CHECKING:
    import asyncmy
else:
    asyncmy = driver("asyncmy")

ONCE: Final = (
    f"on duplicate key update {COLUMN} = if({COLUMN} = values({COLUMN}), {COLUMN}, "
    f"exp(1000 + char_length(values({COLUMN}))))"
)
#: What the server says where that update fails (MySQL 8.0, ER_DATA_OUT_OF_RANGE).
_OUT_OF_RANGE: Final = 1690
_FAILED: Final = re.compile(r"exp\(+1000 \+ char_length\(")
TAKEN: Final = "a row is there that has the same value in another unique column, and is not of this message"
_DENIED: Final = frozenset({1142, 1143})


def taken(error: Exception) -> Rejected | None:
    """The refusal of a row whose other key is taken; None for every other error."""
    number, message = (*error.args, "", "")[:2]
    return Rejected(TAKEN) if number == _OUT_OF_RANGE and _FAILED.search(str(message)) else None


async def unique(cursor: Any, table: str) -> bool | None:
    """Whether the table's column has a unique index; None where there is no column."""
    await cursor.execute(f"show columns from {table} like '{COLUMN}'")
    rows = await cursor.fetchall()
    return rows[0][3] in ("UNI", "PRI") if rows else None


async def make_ready(connection: Any, table: str) -> None:
    """Add the column and its index, where they are not there; raises Unavailable where rows stand in the way."""
    async with connection.cursor() as cursor:
        there = await unique(cursor, table)
        if there:
            return
        change = f"add unique ({COLUMN})" if there is False else f"add column {COLUMN} varchar(64) unique"
        try:
            await cursor.execute(f"alter table {table} {change}")
        except asyncmy.errors.IntegrityError as error:
            hint = f"remove the rows of {table} that have the same {COLUMN}, or the column"
            raise Unavailable("statement", f"{COLUMN} cannot be made unique", hint, str(error)) from error


async def check_ready(connection: Any, table: str) -> bool:
    """Whether the column and its index are there; raises Unavailable where this user could not add them.

    An ALTER TABLE that names no change is refused as any other, and changes nothing.
    """
    async with connection.cursor() as cursor:
        if await unique(cursor, table):
            return True
        try:
            await cursor.execute(f"alter table {table}")
        except asyncmy.errors.MySQLError as error:
            if not error.args or error.args[0] not in _DENIED:
                raise
            hint = f"grant ALTER on it, or add the column {COLUMN} varchar(64) with a unique index yourself"
            raise Unavailable("statement", f"this user may not alter {table}", hint, str(error)) from error
    return False
