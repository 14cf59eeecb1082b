"""MySQL's columns against a real MariaDB: the value that each keeps or a letter, and tables that change meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import Any

import pytest

from databases import MariaDB
from integration.sinks.test_mysql import action, resource, table
from integration.sinks.trying import refused, write, writing
from integration.world.flow import unique
from tieline.integration.sinks.base.failures import Rejected, Unavailable

pytestmark = pytest.mark.world

#: Many rows in one statement, and a statement for each row.
WAYS = {
    "many": "insert into {t}(n, v) values (${{n}}, ${{v}})",
    "each": "insert into {t}(n, v) select ${{n}}, ${{v}}",
    "update": "insert into {t}(v, n) values (${{v}}, ${{n}} + 0) on duplicate key update v = values(v)",
}
MS = 1_710_101_000_000  # 2024-03-10 in Unix milliseconds, and the year 171 to MySQL

#: A type, values of rules, and what a column of it then holds as a text; None for a letter.
VALUES: dict[str, list[tuple[Any, str | None]]] = {
    "datetime": [
        (20231114, "2023-11-14 00:00:00"),
        (20231114221320, "2023-11-14 22:13:20"),
        ("2023-11-14 22:13:20", "2023-11-14 22:13:20"),
        *((wrong, None) for wrong in (MS, float(MS), str(MS), 1_012_101_010, "1012101010", 0, True, "0000-00-00", "x")),
        ("2023-11-00", None),
        ("2023-11-14T22:13:20+02:00", None),
    ],
    "date": [("2023-11-14", "2023-11-14"), (20231114, "2023-11-14"), (MS, None), (str(MS), None), (1.5, None)],
    "timestamp null": [("2023-11-14 22:13:20", "2023-11-14 22:13:20"), (MS, None), (1_700_000_000, None)],
    "time": [("12:30", "12:30:00"), (123000, "12:30:00"), (MS, None), (20231114, None), (1.5, None), (True, None)],
    "year": [(2023, "2023"), (MS, None), (True, None), (1.5, None)],
    "bigint": [(MS, str(MS)), (2**53 + 1, str(2**53 + 1)), (2**63, None), ("1_0", None), ("nan", None)],
    "bigint unsigned": [(2**64 - 1, str(2**64 - 1)), (2**64, None), (-1, None)],
    "decimal(40,10)": [(2**80, f"{2**80}.0000000000"), (0.1, "0.1000000000"), ("1.23", "1.2300000000"), ("x", None)],
    "double": [(0.1, "0.1"), ("1e400", None), (float("inf"), None), (MS, str(MS))],
    "varchar(20)": [
        (-7.920851210199363e284, None),
        (1.25e-138, "1.25e-138"),
        (-7.9208512101e284, "-7.9208512101e+284"),
    ],
    "varchar(3)": [("abc", "abc"), ("abcd", None), (7, "7"), (b"\xff", None)],
    "json": [('{"a": 1}', '{"a": 1}'), ({"a": [1]}, '{"a":[1]}'), ("seven", None), (7, "7")],
    "blob": [(b"\x01A", "\x01A"), ("é", "é")],
    "enum('a', 'b')": [("a", "a"), ("c", None)],
}


def stored(server: MariaDB, target: str) -> list[str]:
    return [row[0] for row in server.execute(f"select cast(v as char) from {target} order by n")]


@pytest.mark.parametrize("way", ["many", "update"])
async def test_each_column_keeps_the_value_or_the_row_is_named(mariadb: MariaDB, way: str) -> None:
    for column, cases in VALUES.items():
        target = table(mariadb, f"n int primary key, v {column}")
        what, good = action(WAYS[way].format(t=target)), [value for value, text in cases if text is not None]
        async with writing(resource(mariadb, pool_size=1), what) as writer:
            await writer.write([{"n": n, "v": value} for n, value in enumerate(good)])
            assert stored(mariadb, target) == [text for _, text in cases if text is not None], column
            for value in (value for value, text in cases if text is None):
                with pytest.raises(Rejected) as caught:
                    await writer.write([{"n": 98, "v": None}, {"n": 99, "v": value}])
                assert list(caught.value.rows) in ([1], []), (column, value)  # the server does not name each row
            assert len(stored(mariadb, target)) == len(good)


async def test_the_hint_for_milliseconds_is_right(mariadb: MariaDB) -> None:
    target = table(mariadb, "n int, v datetime")
    plain = f"insert into {target}(n, v) values (${{n}}, ${{v}})"
    said = await refused(resource(mariadb), action(plain), [{"n": 1, "v": MS}])
    assert "from_unixtime(${…} / 1000)" in said.rows[0]
    better = action(plain.replace("${v}", "from_unixtime(${v} / 1000)"))
    await write(resource(mariadb), better, [{"n": 1, "v": MS}])
    assert mariadb.execute(f"select unix_timestamp(v) * 1000 from {target}") == [(MS,)]


async def test_a_user_who_may_only_insert(mariadb: MariaDB) -> None:
    user, target = unique("u"), table(mariadb, "n int, v datetime, w text")
    mariadb.execute(f"create user {user}@'%' identified by 'x'")
    mariadb.execute(f"grant insert on {mariadb.database}.{target} to {user}@'%'")
    where = resource(mariadb, username=user, password="x")
    for sql in (f"insert into {target}(w, v) values ('?', ${{v}})", f"insert into {target} values (1, ${{v}}, '?')"):
        await write(where, action(sql), [{"v": "2023-11-14 22:13:20"}])
        assert list((await refused(where, action(sql), [{"v": MS}])).rows) == [0]


@pytest.mark.parametrize("way", WAYS)
async def test_no_row_is_wrong_while_a_column_is_altered(mariadb: MariaDB, way: str) -> None:
    """Milliseconds are in the column as they are, or refused; a column that becomes a date never has others."""
    target = table(mariadb, "n int primary key, v bigint")
    kinds = itertools.cycle(["double", "varchar(40)", "decimal(30,3)", "bigint"])
    async with writing(resource(mariadb, pool_size=2), action(WAYS[way].format(t=target))) as writer:
        altered = 0

        async def write_all() -> int:
            """Write until the column was altered some times; how many rows."""
            for first in itertools.count(0, 50):
                if first >= 3000 and altered > 3:
                    break
                rows, done = [{"n": n, "v": MS + n} for n in range(first, first + 50)], False
                while not done:
                    with contextlib.suppress(Unavailable):
                        await writer.write(rows)
                        done = True
            return first

        writes = asyncio.create_task(write_all())
        while not writes.done():
            await asyncio.to_thread(mariadb.execute, f"alter table {target} modify v {next(kinds)}")
            altered += 1
        count = await writes
    assert mariadb.execute(f"select count(*), sum(cast(v as decimal(30,3)) <> {MS} + n) from {target}") == [(count, 0)]


async def test_rows_are_taken_as_the_table_is_now(mariadb: MariaDB) -> None:
    target = table(mariadb, "n int primary key, v bigint")
    rows = [{"n": 1, "v": MS}]
    async with writing(resource(mariadb, pool_size=1), action(WAYS["many"].format(t=target))) as writer:
        await writer.write(rows)
        for change in (
            f"alter table {target} drop column v, add column v datetime",
            f"rename table {target} to {target}_old, {unique('x')} to {target}",
        ):
            for statement in change.split(";"):
                if "rename" in statement:
                    other = statement.split(", ")[1].split()[0]
                    mariadb.execute(f"create table {other}(v date, n int primary key)")
                mariadb.execute(statement)
            with pytest.raises(Rejected) as caught:
                await writer.write([{"n": 2, "v": MS}])
            assert list(caught.value.rows) == [0]
        mariadb.execute(
            f"set statement lock_wait_timeout=1 for alter table {target} modify v bigint"
        )  # no lock is held
        await writer.write(rows)
        assert stored(mariadb, target) == [str(MS)]
