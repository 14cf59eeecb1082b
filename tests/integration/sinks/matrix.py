"""Any value for any type of column by any way of writing: what a column may hold then, worked out apart from the sinks.

`check` writes one value between two good rows. Either all three are in, and the value is right; or none is, and what
is said names the row. There is no third.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import re
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from tieline.integration.sinks import Action, Resource, open_sink
from tieline.integration.sinks.base.failures import Rejected

Right = Callable[[Any, Any], bool]  # of a value and what is stored
UTC = datetime.UTC
EDGES: list[Any] = [
    *(
        sign * (1 << bits) + more
        for bits in (7, 8, 15, 16, 31, 32, 53, 63, 64, 80)
        for sign in (1, -1)
        for more in (-1, 0, 1)
    ),
    *(0.1, -0.0, 1.5, 2.5, 1e15, 1e22, 1e39, 1e-50, 1.7e308, 5e-324, 123456789.987654321),
    *(1_700_000_000, 1_700_000_000_000, 1_710_101_000_000, 20231114, 20231114221320, 4_294_967_296_000),
    *("", "0", "-1", "7", "7.0", "7.5", "1e2", " 7 ", "1_0", "٣", "0x10", "nan", "inf", "Infinity", "1e400", "1e-400"),
    *(
        "12345678901234567890.123456789",
        "true",
        "false",
        "t",
        "1700000000000",
        "1012101010",
        "0000-00-00",
        "2023-11-14",
    ),
    *("2023-02-30", "2023-11-14T22:13:20Z", "2023-11-14 22:13:20.9999999", "2023-11-14T22:13:20+02:00", "1950-01-01"),
    *(
        "2200-01-01",
        "9999-12-31T23:59:59Z",
        "now",
        "infinity",
        "6f1c1b1e-8f0e-4d0b-9d55-0a9b3e1c2d3f",
        "10.0.0.1",
        "1 day",
    ),
    *('{"a": 1}', "[1, 2", "[1.50]", "null", '"x"', "it's", "a\0b", "\\", "{1,2}", "[1,5)", "(1,2)", "101", "a" * 70),
    *(b"", b"\0\1\x80\xff\xfe\x41", b"caf\xc3\xa9", b"7", True, False, [], [1, "2", None], {}, {"a": {"b": [1.5]}}),
]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
VALUES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(EDGES),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.binary(max_size=10),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.integers(0, 2**42),
    st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12).map(str),
    _JSON.filter(lambda value: value is not None),
)
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)


def number(value: Any) -> Decimal | None:
    """The number that a value is, in all of its digits."""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str):
        return Decimal(value.strip()) if _NUMBER.fullmatch(value) else None
    return Decimal(int(value) if isinstance(value, int) else repr(value)) if isinstance(value, (int, float)) else None


def whole(value: Any, stored: Any) -> bool:
    return int(stored) == (value if isinstance(value, float) else number(value))


def rounded(value: Any, stored: Any) -> bool:
    """To the nearest whole number, which is what MySQL does, for EMQX as well."""
    return int(stored) == value or within(Decimal("0.5"))(value, stored)


def within(tolerance: Decimal) -> Right:
    def near(value: Any, stored: Any) -> bool:
        exact = number(value)
        return exact is not None and abs(exact - Decimal(stored)) <= tolerance

    return near


def double(value: Any, stored: Any) -> bool:
    exact = number(value)
    return exact is not None and float(stored) == float(exact) and (float(stored) != 0 or exact == 0)


def single(value: Any, stored: Any) -> bool:
    exact = number(value)
    return exact is not None and struct.pack("<f", float(stored)) == struct.pack("<f", float(exact))


def nearly(relative: float) -> Right:
    """For a server that reads or writes the digits of a fraction as nearly as this."""

    def near(value: Any, stored: Any) -> bool:
        exact = number(value)
        return exact is not None and abs(float(stored) - float(exact)) <= abs(float(exact)) * relative

    return near


def digits(value: Any) -> Any:
    """A value of JSON with its numbers in the digits in which they are written."""
    if isinstance(value, list):
        return [digits(item) for item in value]
    if isinstance(value, dict):
        return {key: digits(item) for key, item in value.items()}
    return value if isinstance(value, (str, bool)) or value is None else Decimal(str(value))


def loads(written: Any) -> Any:
    return json.loads(written, parse_float=Decimal, parse_int=Decimal)


def hexadecimal(value: Any, stored: Any) -> bool:
    """A text or bytes, of which the digits of its bytes are read."""
    written = bytes.fromhex(stored)
    return bool(written == value if isinstance(value, bytes) else text(value, written.decode()))


def text(value: Any, stored: Any) -> bool:
    if isinstance(value, bytes):
        return bool(value.decode() == stored)
    if isinstance(value, str):
        return bool(value == stored)
    return bool(loads(stored) == digits(value))


def document(value: Any, stored: Any) -> bool:
    """JSON; a text that is an object or an array is that."""
    if isinstance(value, bytes):
        value = value.decode()
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return bool(loads(stored) == loads(value))
        except ValueError:
            pass
    return bool(loads(stored) == digits(value))


def read_document(value: Any, stored: Any) -> bool:
    """The same where a text is read as JSON, whatever it is."""
    value = value.decode() if isinstance(value, bytes) else value
    return bool(loads(stored) == (loads(value) if isinstance(value, str) else digits(value)))


def boolean(value: Any, stored: Any) -> bool:
    return bool(value in ((True, "true") if stored in (True, "true") else (False, "false")))


def octets(value: Any, stored: Any) -> bool:
    return bool((value.encode() if isinstance(value, str) else value) == bytes(stored))


def identifier(value: Any, stored: Any) -> bool:
    return uuid.UUID(value) == uuid.UUID(str(stored))


def moment(unit: int) -> Right:
    """Of a column that is read as a datetime of UTC, and keeps so many microseconds; numbers are milliseconds."""

    def same(value: Any, stored: datetime.datetime) -> bool:
        stored = stored if stored.tzinfo else stored.replace(tzinfo=UTC)
        if isinstance(value, str):
            said = datetime.datetime.fromisoformat(value)
            wanted = said if said.tzinfo else said.replace(tzinfo=UTC)
        else:
            wanted = datetime.datetime.fromtimestamp(0, UTC) + datetime.timedelta(milliseconds=value)
        return abs(wanted - stored) < datetime.timedelta(microseconds=max(unit, 2))

    return same


@dataclass
class Column:
    """A type of column: what it may hold, what is a good value, and how it is read back."""

    type: str
    right: Right
    good: Any
    read: str = "v"


@dataclass
class Server:
    """A server to write to, by some ways, into a table for each type of column."""

    database: Any  # with `execute`
    resource: Resource
    action: Callable[[str], Action]
    ways: dict[str, str]
    columns: list[Column]
    create: str = "create table {t}(n int primary key, v {type})"
    reading: Any = None  # the connection that rows are read by, where it is to be closed
    runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    written: int = 0

    def __post_init__(self) -> None:
        self.sink = open_sink(self.resource)
        self.writers: dict[tuple[str, str], Any] = {}
        self.accepted = self.refused = 0

    def close(self) -> None:
        self.runner.run(self.sink.close())
        self.runner.close()
        if self.reading is not None:
            self.reading.close()

    def writer(self, way: str, column: Column) -> tuple[Any, str]:
        """The writer of a way into the table of a column, and the table."""
        table = f"matrix_{self.columns.index(column)}"
        if not self.writers:
            for place, one in enumerate(self.columns):
                self.database.execute(self.create.format(t=f"matrix_{place}", type=one.type))
        key = (way, table)
        if key not in self.writers:
            self.writers[key] = self.sink.writer(self.action(self.ways[way].format(t=table)))
        return self.writers[key], table

    def check(self, way: str, column: Column, value: Any) -> None:
        """Write a value between two good ones; raises AssertionError for a third."""
        writer, table = self.writer(way, column)
        first = self.written = self.written + 3
        rows = [{"n": first + place, "v": one} for place, one in enumerate((column.good, value, column.good))]

        async def write() -> Rejected | None:
            try:
                await writer.write(rows)
            except Rejected as refused:
                return refused
            return None

        refused = self.runner.run(write())
        found = self.database.execute(
            f"select {column.read} from {table} where n >= {first} and n < {first + 3} order by n"
        )
        where = (way, column.type, value)
        if refused is not None:
            self.refused += 1
            assert not found, (*where, "is refused, and rows are in", str(refused))
            assert str(refused), where
            assert list(refused.rows) in ([], [1]), (*where, refused.rows)
            assert all(refused.rows.values()), where
            return
        self.accepted += 1
        assert len(found) == 3, (*where, found)
        try:
            right = column.right(value, found[1][0])
        except (ValueError, TypeError, ArithmeticError, AttributeError) as error:
            raise AssertionError((*where, "became", found[1][0])) from error
        assert right, (*where, "became", found[1][0])
