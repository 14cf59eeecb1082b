"""The columns that a statement puts its fields into, and what numbers are to a date, a time and a text.

MySQL reads a number as the digits of a date, whatever it means: 1710101000000, which is Unix time in milliseconds, as
the first of January of the year 171 (MySQL 8.0, 11.2.2 and 11.2.7). What has not the digits of a date is refused here.
A fraction loses its last digits where a text's column is narrow (MariaDB 10.11), so that it goes as a text itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tieline.integration.rules.compile.template import exact_text
from tieline.integration.sinks.base.kind import driver
from tieline.integration.sinks.mysql.statement import Statement, direct
from tieline.integration.sinks.sql.conversion import Misfit

if TYPE_CHECKING:
    import asyncmy
else:
    asyncmy = driver("asyncmy")

#: Types of columns in the protocol, and their names in information_schema (MySQL 8.0, enum_field_types).
DATES: Final = {7: "timestamp", 10: "date", 12: "datetime"}
TIME: Final = {11: "time"}
YEAR: Final = {13: "year"}
TEXTS: Final = {15: "varchar", 253: "varchar", 254: "char", 249: "tinytext", 250: "mediumtext", 251: "longtext"}
BLOB: Final = {252: "text"}  # every text and blob, in an answer
_KNOWN: Final = DATES | TIME | YEAR | TEXTS | BLOB
_CODES: Final = {name: code for code, name in _KNOWN.items()} | dict.fromkeys(
    ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "json", "enum", "set"), 253
)
_HEAD: Final = re.compile(
    r"\s*(insert|replace)\s+((low_priority|high_priority|delayed|ignore)\s+)*(into\s+)?(?P<table>[\w$.`]+)\s*"
    r"(\((?P<columns>[\w\s,$`]+)\)\s*)?values?\s*",
    re.IGNORECASE,
)
_DIGITS: Final = re.compile(r"\s*\d+\s*", re.ASCII)
_DATE_DIGITS: Final = frozenset({6, 8, 12, 14})  # YYMMDD, YYYYMMDD, and the same with hhmmss
_MANY: Final = 32  # digits that are no date, and no time
_LONGEST_TIME: Final = 8_385_959  # 838:59:59 as a number
_DENIED: Final = frozenset({1142, 1143})
Convert = Callable[[Any], Any]


class Target(NamedTuple):
    """A table and those of its columns that get a field as it is: for each, the place among the fields."""

    table: str
    columns: tuple[str, ...]  # as the template names them; empty where it names none
    places: tuple[tuple[int, int], ...]  # the column's place among the columns, and the field's among the fields


def target(statement: Statement) -> Target | None:
    """Where an INSERT of one row puts its fields; None for every other statement."""
    head = _HEAD.fullmatch(statement.head)
    if not statement.row or head is None:
        return None
    places = direct(statement.row)
    columns = tuple(name.strip() for name in head["columns"].split(",")) if head["columns"] else ()
    return Target(head["table"], columns, tuple(places)) if places else None


async def kinds(connection: Any, wanted: Target) -> tuple[int, ...]:
    """The type of each column that gets a field, 0 where it matters not; asked in the transaction that
    writes, they are those that the rows were written to.
    """
    async with connection.cursor() as cursor:
        try:
            await cursor.execute(f"select {', '.join(wanted.columns) or '*'} from {wanted.table} limit 0")
            found = [column[1] for column in cursor.description]
        except asyncmy.errors.MySQLError as error:
            if not error.args or error.args[0] not in _DENIED:
                raise
            found = await _from_schema(cursor, wanted)
    return tuple(found[column] if found[column] in _KNOWN else 0 for column, _ in wanted.places if column < len(found))


async def _from_schema(cursor: Any, wanted: Target) -> list[int]:
    """The same for a user who may write and not read."""
    schema, _, table = wanted.table.replace("`", "").rpartition(".")
    await cursor.execute(
        "select column_name, data_type from information_schema.columns"
        " where table_schema = coalesce(nullif(%s, ''), database()) and table_name = %s order by ordinal_position",
        (schema, table),
    )
    rows = {name.lower(): _CODES.get(kind, 0) for name, kind in await cursor.fetchall()}
    return [rows.get(name.strip("`").lower(), 0) for name in wanted.columns] or list(rows.values())


def conversions(wanted: Target, found: Sequence[int]) -> tuple[tuple[int, Convert], ...]:
    """For each field that goes into a date, a time or a text its place, and what it becomes; raises Misfit."""
    rules: dict[int, Convert] = {**dict.fromkeys(DATES, _date), **dict.fromkeys(TIME, _time)}
    rules |= {**dict.fromkeys(YEAR, _year), **dict.fromkeys(TEXTS | BLOB, _text)}
    return tuple((field, rules[code]) for (_, field), code in zip(wanted.places, found, strict=False) if code)


def apply(rows: list[tuple[Any, ...]], converts: Sequence[tuple[int, Convert]]) -> None:
    """Convert the fields in the rows; raises Misfit."""
    for place, convert in converts:
        if convert is _text:
            for at, row in enumerate(rows):
                if row[place].__class__ is float:
                    rows[at] = (*row[:place], exact_text(row[place]), *row[place + 1 :])
        else:
            for row in rows:
                convert(row[place])


def _text(value: Any) -> Any:
    return exact_text(value) if isinstance(value, float) else value


def _number(value: Any, what: str) -> int | None:
    """The number that a value is to MySQL; None for what is a text to it."""
    if isinstance(value, str):
        return int(value) if _DIGITS.fullmatch(value) and len(value) < _MANY else None
    if isinstance(value, bytes) or value is None:
        return None
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise Misfit(f"{value!r} is no {what}")
    return int(value)


def _date(value: Any) -> None:
    number = _number(value, "date")
    digits = len(value.strip()) if isinstance(value, str) else len(str(number))
    if number is not None and (number < 0 or digits not in _DATE_DIGITS):
        raise Misfit(f"{value!r} is no date: for Unix time in milliseconds write from_unixtime(${{…}} / 1000)")


def _time(value: Any) -> None:
    number = _number(value, "time")
    if number is not None and abs(number) > _LONGEST_TIME:
        raise Misfit(f"{value!r} is no time")


def _year(value: Any) -> None:
    _number(value, "year")
