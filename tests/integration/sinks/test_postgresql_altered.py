"""Tables that are altered, renamed and replaced under the traffic of a writer that has seen them before."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from typing import Any

import psycopg
import pytest

from integration.sinks.test_postgresql import WAYS, action, stored, table
from integration.sinks.trying import writing
from integration.world import flow
from servers import PostgreSQL
from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.base.kind import Writer
from tieline.integration.sinks.postgresql.bulk import CHANGED
from tieline.integration.sinks.sql.sql import Sql

pytestmark = pytest.mark.world

TYPES = [
    "int",
    "bigint",
    "real",
    "double precision",
    "numeric",
    "text",
    "timestamptz",
    "jsonb",
    "bool",
    "uuid",
    "bytea",
    "interval",
    "date",
]
#: What a column of each type is given: some of it fits it, some does not.
VALUES: tuple[Any, ...] = (
    1,
    7,
    40000,
    1.5,
    True,
    "7",
    "7.5",
    "true",
    "2023-11-14",
    1_700_000_000_000,
    {"a": 1},
    b"\0a",
    "a",
)


async def outcomes(writer: Writer, first: int) -> list[str]:
    """What is said of each value, in rows from the number `first` on; empty where it was written."""
    found = []
    for n, value in enumerate(VALUES, first):
        try:
            await writer.write([{"n": n, "v": value}])
            found.append("")
        except Rejected as refused:
            found.append(str(refused))
    return found


@pytest.mark.parametrize("way", WAYS)
async def test_a_column_of_another_type_gets_what_a_new_writer_would_give_it(postgresql: PostgreSQL, way: str) -> None:
    reference = {}
    where = flow.resource(postgresql, pool_size=1)
    for kind in TYPES:
        target = table(postgresql, f"v {kind}")
        async with writing(where, action(way, target)) as writer:
            reference[kind] = (
                await outcomes(writer, 0),
                postgresql.execute(f"select n, v::text from {target} order by n"),
            )
    with psycopg.connect(postgresql.dsn, autocommit=True) as changing:
        target = table(postgresql, f"v {TYPES[0]}")
        async with writing(where, action(way, target)) as writer:
            for before, after in random.Random(way).sample([*itertools.permutations(TYPES, 2)], 15):
                changing.execute(f"alter table {target} drop column v, add column v {before}".encode())
                await writer.write([{"n": -1, "v": None}])
                changing.execute(f"truncate {target}; alter table {target} alter v type {after} using null".encode())
                found = await outcomes(writer, 0)
                rows = changing.execute(f"select n, v::text from {target} order by n".encode()).fetchall()
                changing.execute(f"truncate {target}".encode())
                assert ([not one for one in found], rows) == (
                    [not one for one in reference[after][0]],
                    reference[after][1],
                ), (before, after)


@pytest.mark.parametrize("way", WAYS)
async def test_no_row_is_wrong_while_a_column_is_altered(postgresql: PostgreSQL, way: str) -> None:
    """Numbers keep their value, whatever the type of the column is at the moment."""
    target = table(postgresql, "v int")
    kinds = itertools.cycle(["real", "bigint", "numeric", "text", "double precision", "jsonb", "int"])
    async with writing(flow.resource(postgresql, pool_size=2), action(way, target)) as writer:

        async def write() -> None:
            for first in range(0, 20_000, 100):
                rows, done = [{"n": n, "v": n} for n in range(first, first + 100)], False
                while not done:
                    with contextlib.suppress(Unavailable):  # altered thrice during one write: tried again
                        await writer.write(rows)
                        done = True

        writes = asyncio.create_task(write())
        altered = 0
        while not writes.done():
            after = next(kinds)
            using = f"v::text::{after}" if after != "int" else "v::text::numeric::int"
            await asyncio.to_thread(postgresql.execute, f"alter table {target} alter v type {after} using {using}")
            altered += 1
        await writes
    wrong = postgresql.execute(f"select n, v::text from {target} where v::text::numeric <> n limit 5")
    assert (wrong, postgresql.execute(f"select count(*) from {target}")) == ([], [(20_000,)])
    assert altered > 5


@pytest.mark.parametrize("way", WAYS)
async def test_rows_are_taken_again_once_the_table_fits(postgresql: PostgreSQL, way: str) -> None:
    """No restart: what was refused is taken after the column is wider, and what is missing is waited for."""
    target = table(postgresql, "v smallint")
    rows = [{"n": 1, "v": 7}, {"n": 2, "v": 70_000}]
    async with writing(flow.resource(postgresql, pool_size=1), action(way, target)) as writer:
        with pytest.raises(Rejected) as caught:
            await writer.write(rows)
        assert list(caught.value.rows) == [1]
        for change in (
            f"alter table {target} alter v type bigint",
            f"alter table {target} add column w int default 5",
            f"alter table {target} drop column v; alter table {target} add column v bigint",
            f"alter table {target} rename to {target}_old; create table {target}(v text, n int primary key)",
            f"alter table {target} rename to {target}_older; create table {target}(n numeric primary key, v real)",
        ):
            postgresql.execute(change)
            await writer.write(rows)
            assert stored(postgresql, target)[-2:] == ["7", "70000"], change
            postgresql.execute(f"truncate {target}")
        postgresql.execute(f"alter table {target} rename column v to u")
        with pytest.raises(Unavailable):
            await writer.write(rows)
        postgresql.execute(f"alter table {target} rename column u to v")
        await writer.write(rows)
        assert stored(postgresql, target) == ["7", "70000"]


@pytest.mark.parametrize("way", ["copy", "unnest"])
async def test_a_view_that_takes_the_place_of_a_table(postgresql: PostgreSQL, way: str) -> None:
    target = table(postgresql, "v int")
    async with writing(flow.resource(postgresql, pool_size=1), action(way, target)) as writer:
        await writer.write([{"n": 1, "v": 1}])
        for kind in ("real", "text"):
            postgresql.execute(
                f"alter table {target} rename to {target}_{kind}; create table {target}_under(n int, v {kind});"
                f"create view {target} as select * from {target}_under"
            )
            await writer.write([{"n": 2, "v": 2}])
            assert stored(postgresql, f"{target}_under") == ["2"]
            postgresql.execute(
                f"drop view {target}; drop table {target}_under; alter table {target}_{kind} rename to {target}"
            )


async def test_a_rule_and_row_level_security_hold_for_rows_that_come_after_them(postgresql: PostgreSQL) -> None:
    target = table(postgresql, "v int")
    async with writing(flow.resource(postgresql, pool_size=1), action("copy", target)) as writer:
        await writer.write([{"n": 1, "v": 1}])
        postgresql.execute(f"create table {target}_log(v int)")
        postgresql.execute(f"create rule twin as on insert to {target} do also insert into {target}_log values (new.v)")
        await writer.write([{"n": 2, "v": 2}])
        assert postgresql.execute(f"select v from {target}_log") == [(2,)]
        postgresql.execute(
            f"drop rule twin on {target}; alter table {target} enable row level security;"
            f"alter table {target} force row level security; create policy p on {target} with check (v < 10)"
        )
        await writer.write([{"n": 3, "v": 3}])
        with pytest.raises((Rejected, Unavailable), match="row-level security"):
            await writer.write([{"n": 4, "v": 40}])


async def test_an_enum_with_more_values_and_one_that_is_made_anew(postgresql: PostgreSQL) -> None:
    kind = flow.unique("e")
    postgresql.execute(f"create type {kind} as enum ('a')")
    target = table(postgresql, f"v {kind}")
    async with writing(flow.resource(postgresql, pool_size=1), action("copy", target)) as writer:
        with pytest.raises(Rejected, match="invalid input value"):
            await writer.write([{"n": 1, "v": "b"}])
        postgresql.execute(f"alter type {kind} add value 'b'")
        await writer.write([{"n": 1, "v": "b"}])
        postgresql.execute(
            f"alter table {target} alter v type text; drop type {kind}; create type {kind} as enum ('b', 'c');"
            f"alter table {target} alter v type {kind} using v::{kind}"
        )
        await writer.write([{"n": 2, "v": "c"}])
        assert stored(postgresql, target) == ["b", "c"]


async def test_nothing_is_held_between_writes(postgresql: PostgreSQL) -> None:
    """A refused row and a Test leave no lock behind that an ALTER would wait for."""
    for way in WAYS:
        target = table(postgresql, "v int")
        async with writing(flow.resource(postgresql, pool_size=1), action(way, target)) as writer:
            for value in ("many", 1, 2**40):
                with contextlib.suppress(Rejected):
                    await writer.write([{"n": 1, "v": value}])
                postgresql.execute(f"set lock_timeout = '1s'; alter table {target} add column x_{len(str(value))} int")


async def test_a_table_that_was_ready_for_each_message_once_is_replaced(postgresql: PostgreSQL) -> None:
    target = flow.table(postgresql, "v int")
    once = Sql(id="a", resource="pg", sql=f"insert into {target}(v) values (${{v}})", exactly_once=True)
    async with writing(flow.resource(postgresql), once) as writer:
        await writer.write([{"v": 1, "tieline_id": "1"}])
        postgresql.execute(f"alter table {target} rename to {target}_old; create table {target}(v int)")
        with pytest.raises(Unavailable):
            await writer.write([{"v": 2, "tieline_id": "2"}])
        for _ in range(2):
            await writer.write([{"v": 2, "tieline_id": "2"}])
        assert postgresql.execute(f"select v from {target}") == [(2,)]


@pytest.mark.parametrize("way", WAYS)
async def test_no_row_can_say_that_the_columns_have_changed(postgresql: PostgreSQL, way: str) -> None:
    """A trigger's error about a row is the row's, whatever it says; nor can what is no text break the connection."""
    target = table(postgresql, "v text")
    postgresql.execute(
        f"create function {target}_f() returns trigger language plpgsql as"
        " 'begin if new.v like ''the%'' then perform new.v::int; end if; return new; end';"
        f"create trigger f before insert on {target} for each row execute function {target}_f()"
    )
    async with writing(flow.resource(postgresql, pool_size=1), action(way, target)) as writer:
        for n, wrong in enumerate((f"{CHANGED[:24]}", f"{CHANGED[:24]} (0123456789abcdef)", "\ud800", "a\0b")):
            with pytest.raises(Rejected) as caught:
                await writer.write([{"n": n, "v": wrong}])
            assert str(caught.value)
            await writer.write([{"n": n, "v": "good"}])
        assert stored(postgresql, target) == ["good"] * 4
