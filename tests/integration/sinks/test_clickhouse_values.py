"""ClickHouse's columns against a real server: the value that each keeps or a letter, also after the table changed."""

from __future__ import annotations

from typing import Any

import pytest

from databases import ClickHouse
from integration.sinks.test_clickhouse import action, resource, table
from integration.sinks.trying import refused, write, writing
from integration.world.flow import unique
from tieline.integration.sinks.base.failures import Rejected, Unavailable

pytestmark = pytest.mark.world

MS = 1_700_000_000_000
#: A type, values of rules, and what a column of it then holds as a text; None for a letter.
VALUES: dict[str, list[tuple[Any, str | None]]] = {
    "Int8": [(-128, "-128"), (300, None), ("5", "5"), (7.0, "7"), (1.5, None), ("1_0", None), (True, "1"), ("x", None)],
    "UInt8": [(255, "255"), (-1, None), (256, None)],
    "Int64": [(2**63 - 1, str(2**63 - 1)), (2**63, None), (MS, str(MS)), (2**53 + 1, str(2**53 + 1))],
    "UInt64": [(2**64 - 1, str(2**64 - 1)), (2**64, None)],
    "Float32": [(0.5, "0.5"), (1e39, None), (1e-50, None), ("1.5", "1.5"), ("nan", None), (float("inf"), None)],
    "Float64": [(0.1, "0.1"), ("1e400", None), (7, "7"), (float("nan"), None)],
    "Decimal(18, 4)": [(1.23456, "1.2346"), ("12345678901234.5", "12345678901234.5000"), (10**14, None), ("x", None)],
    "String": [("a'\\\n", "a'\\\n"), (7, "7"), ({"a": [1]}, '{"a":[1]}'), (b"caf\xc3\xa9", "café"), (True, "true")],
    "FixedString(3)": [("abc", "abc"), ("abcd", None)],
    "Date": [
        *((value, "2023-11-14") for value in ("2023-11-14", 19675, 1_700_000_000, MS, str(MS), "2023-11-14T22:13:20Z")),
        *((wrong, None) for wrong in ("0000-00-00", "1950-01-01", "2200-01-01", -1, 1.5, 10**16, True, "2023-02-30")),
    ],
    "DateTime('UTC')": [
        *((value, "2023-11-14 22:13:20") for value in (1_700_000_000, MS, float(MS), str(MS), "2023-11-14 22:13:20")),
        *((value, "2023-11-14 22:13:20") for value in ("2023-11-14T22:13:20Z", "2023-11-15T00:13:20+02:00")),
        *((wrong, None) for wrong in ("0000-00-00 00:00:00", "1950-01-01 00:00:00", -1, 10**16, 1.5, "x", [1])),
    ],
    "DateTime('Europe/Berlin')": [(MS, "2023-11-14 23:13:20"), ("2023-11-14 23:13:20", "2023-11-14 23:13:20")],
    "Enum8('a' = 1, 'b\\' b' = -2)": [("a", "a"), ("b' b", "b' b"), (1, "a"), ("c", None), (7, None)],
    "UUID": [("6F1C1B1E-8F0E-4D0B-9D55-0A9B3E1C2D3F", "6f1c1b1e-8f0e-4d0b-9d55-0a9b3e1c2d3f"), ("x", None), (7, None)],
    "Array(Int32)": [([1, "2"], "[1,2]"), ([], "[]"), ([2**40], None), (1, None)],
    "Array(String)": [(["a'b", 7], "['a\\'b','7']")],
    "Nullable(Int32)": [(None, None), (5, "5"), (5_000_000_000, None)],
}


async def test_each_column_keeps_the_value_or_the_row_is_named(clickhouse: ClickHouse) -> None:
    for column, cases in VALUES.items():
        target = table(clickhouse, f"n Int32, v {column}")
        what = action(f"insert into {target}(n, v) values (${{n}}, ${{v}})")
        good = [value for value, text in cases if text is not None]
        async with writing(resource(clickhouse, pool_size=1), what) as writer:
            await writer.write([{"n": n, "v": value} for n, value in enumerate(good)])
            found = [row[0] for row in clickhouse.execute(f"select toString(v) from {target} order by n")]
            assert found == [text for _, text in cases if text is not None], column
            for value in (value for value, text in cases if text is None and value is not None):
                with pytest.raises(Rejected) as caught:
                    await writer.write([{"n": 98, "v": good[0]}, {"n": 99, "v": value}])
                assert list(caught.value.rows) in ([1], []), (column, value)
        assert clickhouse.execute(f"select toString(count()) from {target}") == [[str(len(good))]]


async def test_fields_of_expressions_and_of_tables_without_a_list_of_columns(clickhouse: ClickHouse) -> None:
    target = table(clickhouse, "n Int32, m UInt8 materialized 7, v DateTime('UTC'), w String")
    sql = f"insert into {target} values (${{n}}, ${{v}}, concat('?, ', ${{w}}))"
    await write(resource(clickhouse), action(sql), [{"n": 1, "v": MS, "w": "x"}])
    assert clickhouse.execute(f"select toString(v), w from {target}") == [["2023-11-14 22:13:20", "?, x"]]
    assert list((await refused(resource(clickhouse), action(sql), [{"n": 2**31, "v": MS, "w": "x"}])).rows) == [0]


async def test_a_table_that_is_altered_under_a_writer(clickhouse: ClickHouse) -> None:
    target = table(clickhouse, "n Int64, v Int64")
    async with writing(
        resource(clickhouse, pool_size=1), action(f"insert into {target}(n, v) values (${{n}}, ${{v}})")
    ) as writer:
        for n, (kind, value, text) in enumerate(
            [
                ("Int64", MS, str(MS)),
                ("String", MS, str(MS)),
                ("Int16", MS, None),
                ("Int16", 7, "7"),
                ("Float64", 7.5, "7.5"),
                ("UInt8", 300, None),
                ("Int64", MS, str(MS)),
            ]
        ):
            clickhouse.execute(f"alter table {target} modify column v {kind}")
            if text is None:
                with pytest.raises(Rejected):
                    await writer.write([{"n": n, "v": value}])
            else:
                await writer.write([{"n": n, "v": value}])
                assert clickhouse.execute(f"select toString(v) from {target} where n = {n}") == [[text]], kind
        other = unique("T")
        clickhouse.execute(f"create table {other}(v DateTime('UTC'), n Int64) engine = MergeTree() order by tuple()")
        clickhouse.execute(f"rename table {target} to {target}_old, {other} to {target}")
        await writer.write([{"n": 1, "v": MS}])
        assert clickhouse.execute(f"select toString(v) from {target}") == [["2023-11-14 22:13:20"]]
        clickhouse.execute(f"alter table {target} drop column v")
        with pytest.raises(Unavailable):
            await writer.write([{"n": 2, "v": 7}])
        clickhouse.execute(f"alter table {target} add column v UInt8")
        await writer.write([{"n": 2, "v": 7}])
