"""PostgreSQL's sink against a real server: the value that each column keeps, and tables that change meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from integration.sinks.trying import refused, write, writing
from integration.world import flow
from servers import PostgreSQL
from tieline.integration.sinks import open_sink
from tieline.integration.sinks.base.failures import Rejected
from tieline.integration.sinks.sql.sql import Sql

pytestmark = pytest.mark.world

#: One statement for each way of writing; `{t}` is the table, `{v}` the column.
WAYS = {
    "copy": "insert into {t}(n, {v}) values (${{n}}, ${{v}})",
    "unnest": "insert into {t}(n, {v}) values (abs(${{n}}::int), ${{v}})",
    "executemany": "insert into {t}(n, {v}) values (${{n}}, ${{v}}) on conflict (n) do update set n = excluded.n",
}


def action(way: str, target: str, column: str = "v", **changes: Any) -> Sql:
    return Sql(id="a", resource="pg", sql=WAYS[way].format(t=target, v=column), **changes)


def table(server: PostgreSQL, column: str) -> str:
    return flow.table(server, f"n int primary key, {column}")


def stored(server: PostgreSQL, target: str, column: str = "v") -> list[Any]:
    return [row[0] for row in server.execute(f"select {column}::text from {target} order by n")]


async def test_two_actions_with_the_same_statement_keep_their_fields_apart(postgresql: PostgreSQL) -> None:
    target = flow.table(postgresql, "city text, country text")
    first = Sql(id="a", resource="pg", sql=f"insert into {target} (city, country) values (${{city}}, ${{country}})")
    second = Sql(id="b", resource="pg", sql=f"insert into {target} (city, country) values (${{country}}, ${{city}})")
    sink = open_sink(flow.resource(postgresql, pool_size=1))
    try:
        for what in (first, second, first):
            await sink.writer(what).write([{"city": "Bern", "country": "CH"}])
    finally:
        await sink.close()
    assert postgresql.execute(f"select city from {target} order by 1") == [("Bern",), ("Bern",), ("CH",)]


#: A type, values of rules, and what a column of the type then holds, as the server's text; None for a letter.
VALUES: dict[str, list[tuple[Any, str | None]]] = {
    "smallint": [(7, "7"), (40000, None), ("7.0", "7"), ("1_0", None), (1.5, None), ("٣", None), (True, "1")],
    "bigint": [(2**53 + 1, str(2**53 + 1)), ("9007199254740993.0", "9007199254740993"), (2**63, None), ("1e2", "100")],
    "real": [(0.5, "0.5"), (1e39, None), (1e-50, None), ("nan", None), ("inf", None), (7, "7")],
    "double precision": [
        (0.1, "0.1"),
        ("1e400", None),
        ("1e-400", None),
        (10**400, None),
        ("1_0", None),
        ("2.5", "2.5"),
    ],
    "numeric": [
        ("12345678901234567890.123456789", "12345678901234567890.123456789"),
        (0.1, "0.1"),
        (2**80, str(2**80)),
        ("1.50", "1.50"),
        ("nan", None),
        ("1_0", None),
        ("1e999999999", None),
        ("1e-999999999", None),
    ],
    "numeric(5, 2)": [(21.555, "21.56"), (123456, None)],
    "text": [
        ("a", "a"),
        (b"caf\xc3\xa9", "café"),
        (b"\xff", None),
        ("a\0", None),
        (21.5, "21.5"),
        ({"a": [1]}, '{"a":[1]}'),
    ],
    "varchar(3)": [("abc", "abc"), ("abcd", None)],
    "name": [("a" * 63, "a" * 63), ("a" * 64, None)],
    "jsonb": [
        ('{"a": 12345678901234567890123}', '{"a": 12345678901234567890123}'),
        ("[1, 2]", "[1, 2]"),
        ({"a": 1}, '{"a": 1}'),
        ("seven", '"seven"'),
        ("7", '"7"'),
        ("{broken", '"{broken"'),
        (7, "7"),
    ],
    "timestamptz": [
        (1_700_000_000_000, "2023-11-14 22:13:20+00"),
        ("2023-11-14T22:13:20.1234567Z", "2023-11-14 22:13:20.123457+00"),
        ("yesterday", None),
        (10**18, None),
    ],
    "date": [(1_700_000_000_000, "2023-11-14"), ("0000-00-00", None)],
    "boolean": [(True, "true"), ("false", "false"), (2, None)],
    "bytea": [(b"\0\1\x80\xff\xfe\x41", "\\x000180fffe41"), ("é", "\\xc3a9")],
    "uuid": [("6F1C1B1E-8F0E-4D0B-9D55-0A9B3E1C2D3F", "6f1c1b1e-8f0e-4d0b-9d55-0a9b3e1c2d3f"), ("x", None)],
    "int[]": [([1, None, "2"], "{1,NULL,2}"), ([[1, 2], [3, 4]], "{{1,2},{3,4}}"), ([1.5], None), ("{1}", None)],
    "interval": [("1 day 02:00:00", "1 day 02:00:00"), ("soon", None)],
    "time": [("12:30", "12:30:00"), ("25:00", None)],
    "timetz": [("12:30+02", "12:30:00+02")],
    "int4range": [("[1,5)", "[1,5)"), ("5", None)],
    "bit(3)": [("101", "101"), ("1010", None)],
    "varbit(4)": [("1010", "1010"), ("10101", None)],
    "point": [("(1,2)", "(1,2)"), ("here", None)],
    "oid": [(7, "7"), ("x", None)],
    "money": [("12.34", "$12.34")],
    "inet": [("10.0.0.1/8", "10.0.0.1/8"), ("10.0.0.256", None)],
    "cidr": [("10.0.0.0/8", "10.0.0.0/8"), ("10.0.0.1/8", None)],
    "macaddr": [("08:00:2b:01:02:03", "08:00:2b:01:02:03")],
    "tsvector": [("a:1 b:2", "'a':1 'b':2")],
    "xml": [("<a>1</a>", "<a>1</a>"), ("<a>", None)],
    "interval[]": [(["1 day", None], '{"1 day",NULL}'), (["soon"], None)],
    "mood": [("sad", "sad"), ("furious", None)],
    "small": [(7, "7"), ("7.0", "7"), (11, None)],
    "pair": [("(1,x)", "(1,x)"), ("1", None)],
}
TYPES = """
do $$ begin
    create type mood as enum ('sad', 'happy'); create domain small as int check (value < 10);
    create type pair as (a int, b text);
exception when duplicate_object then null; end $$
"""


@pytest.mark.parametrize("way", WAYS)
async def test_each_column_keeps_the_value_or_the_row_is_named(postgresql: PostgreSQL, way: str) -> None:
    postgresql.execute(TYPES)
    for column, cases in VALUES.items():
        target = table(postgresql, f"v {column}")
        good = [value for value, text in cases if text is not None]
        async with writing(flow.resource(postgresql, pool_size=1), action(way, target)) as writer:
            await writer.write([{"n": n, "v": value} for n, value in enumerate(good)])
            assert stored(postgresql, target) == [text for _, text in cases if text is not None], column
            for value in (value for value, text in cases if text is None):
                with pytest.raises(Rejected) as caught:
                    await writer.write([{"n": 98, "v": None}, {"n": 99, "v": value}])
                assert str(caught.value), (column, value)
                assert list(caught.value.rows) in ([1], []), (column, value)  # the server does not name each row
        assert len(stored(postgresql, target)) == len(good)


@pytest.mark.parametrize("way", WAYS)
async def test_a_deep_document_is_the_server_s_to_read(postgresql: PostgreSQL, way: str) -> None:
    target = table(postgresql, "v jsonb")
    deep = "[" * 1500 + "]" * 1500
    await write(flow.resource(postgresql), action(way, target), [{"n": 1, "v": deep}])
    assert stored(postgresql, target) == [deep]


@pytest.mark.parametrize("way", WAYS)
async def test_the_payload_is_a_document(postgresql: PostgreSQL, way: str) -> None:
    target = table(postgresql, "v jsonb")
    sql = WAYS[way].format(t=target, v="v").replace("${v}", "${payload}")
    texts = ['{"a": 1}', "7", '"x"', "null", "true", "hello", " [1.50]"]
    await write(flow.resource(postgresql), Sql(id="a", resource="pg", sql=sql), [
        {"n": n, "payload": text} for n, text in enumerate(texts)
    ])  # fmt: skip
    assert stored(postgresql, target) == ['{"a": 1}', "7", '"x"', "null", "true", '"hello"', "[1.50]"]


async def test_rows_that_came_before_the_rule_selected_a_field_are_named(postgresql: PostgreSQL) -> None:
    """The rule was edited while they waited: what the new statement names, the rule did not select when they came."""
    target = table(postgresql, "v int")
    said = await refused(flow.resource(postgresql), action("copy", target), [{"n": 1, "v": 1}, {"n": 2, "old": 2}])
    assert list(said.rows) == [1]
    assert "before the rule selected v" in said.rows[1]
