"""Test and the idle check do what the write does: green where it succeeds, red with the reason where it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from databases import MariaDB, Redis
from integration.sinks import test_mysql, test_redis
from integration.sinks.trying import failing, write
from integration.world.flow import unique
from servers import PostgreSQL
from tieline.integration.config.shapes import PostgreSQL as Resource
from tieline.integration.config.shapes import Sql
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.mysql import sink as mysql
from tieline.integration.sinks.sql.once import COLUMN
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


def resource(server: PostgreSQL, **changes: Any) -> Resource:
    known: dict[str, Any] = {"id": "pg", "server": server.server, "database": server.database}
    return Resource(**(known | {"username": server.user, "password": server.password} | changes))


def sql(text: str) -> Sql:
    return Sql(id="a", resource="pg", sql=text)


def administrator(server: PostgreSQL) -> psycopg.Connection[Any]:
    dsn = f"host={server.directory} port={server.port} user=postgres dbname={server.database}"
    return psycopg.connect(dsn, autocommit=True)


async def test_a_procedure_of_postgresql(postgresql: PostgreSQL) -> None:
    table, name = unique("t"), unique("p")
    postgresql.execute(f"create table {table}(v int)")
    postgresql.execute(f"create procedure {name}(v int) language sql as $$ insert into {table} values (v) $$")
    for call in (f"call {name}(${{v}}::int)", f"CALL public.{name}(${{v}}); -- so"):
        await probe(resource(postgresql), [sql(call)])
        await write(resource(postgresql), sql(call), [{"v": 7}])
    assert postgresql.execute(f"select v from {table}") == [(7,), (7,)]
    assert (await failing(resource(postgresql), sql("call absent(${v})"))).hop == "statement"
    with administrator(postgresql) as root:
        root.execute(f"create procedure closed_{name}(v int) language sql as 'select 1'")
        root.execute(f"revoke execute on procedure closed_{name} from public")
    failed = await failing(resource(postgresql), sql(f"call closed_{name}(${{v}})"))
    assert (failed.hop, "may not call" in failed.message) == ("statement", True)


async def test_a_function_that_only_reads(postgresql: PostgreSQL) -> None:
    name = unique("f")
    postgresql.execute(f"create function {name}(v int) returns int stable language sql as 'select v'")
    failed = await failing(resource(postgresql), sql(f"select {name}(${{v}})"))
    assert (failed.hop, "only reads" in failed.message) == ("statement", True)
    await probe(resource(postgresql), [sql("select pg_notify('c', ${v})")])


async def test_transactions_that_only_read(postgresql: PostgreSQL) -> None:
    table, reader = unique("t"), unique("u")
    with administrator(postgresql) as root:
        root.execute(f"create role {reader} login password 'p'")
        root.execute(f"create table {table}(v int)")
        root.execute(f"grant all on {table} to {reader}")
        into = sql(f"insert into {table}(v) values (${{v}})")
        await probe(resource(postgresql, username=reader, password="p"), [into])
        root.execute(f"alter role {reader} set default_transaction_read_only to on")
        failed = await failing(resource(postgresql, username=reader, password="p"), into)
    assert (failed.hop, "default_transaction_read_only" in failed.hint) == ("database", True)


async def test_a_sequence_that_this_user_may_not_use(postgresql: PostgreSQL) -> None:
    """The default of a column that the statement does not name takes its number; an identity needs no right."""
    table, user = unique("t"), unique("u")
    with administrator(postgresql) as root:
        root.execute(f"create role {user} login password 'p'")
        root.execute(f'create sequence "It\'s {table}"')
        root.execute(f"create table {table}(n int default nextval('\"It''s {table}\"'), v int)")
        root.execute(f"create table {table}_own(n int generated always as identity, v int)")
        root.execute(f"grant insert(v) on {table}, {table}_own to {user}")
        where, into = resource(postgresql, username=user, password="p"), f"insert into {table}(v) values (${{v}})"
        failed = await failing(where, sql(into))
        assert (failed.hop, "GRANT USAGE" in failed.hint.upper()) == ("statement", True)
        with pytest.raises(Unavailable, match="permission denied for sequence"):
            await write(where, sql(into), [{"v": 1}])
        root.execute(f'grant usage on sequence "It\'s {table}" to {user}')
        for name in (table, f"{table}_own"):
            await probe(where, [sql(into.replace(table, name))])
            await write(where, sql(into.replace(table, name)), [{"v": 1}])


async def test_a_column_for_ids_that_this_user_may_not_add(postgresql: PostgreSQL, mariadb: MariaDB) -> None:
    table, user = unique("t"), unique("u")
    once = Sql(id="a", resource="pg", sql=f"insert into {table}(v) values (${{v}})", exactly_once=True)
    rows = [{"v": 1, COLUMN: "x"}]
    with administrator(postgresql) as root:
        root.execute(f"create role {user} login password 'p'")
        root.execute(f"create table {table}(v int)")
        root.execute(f"grant insert on {table} to {user}")
        where = resource(postgresql, username=user, password="p")
        for change, part in (
            ("", "does not own"),
            (f"alter table {table} add column {COLUMN} text unique", "permission denied"),
        ):
            if change:
                root.execute(change)
            assert part in (await failing(where, once)).message
            with pytest.raises(Unavailable):
                await write(where, once, rows)
        root.execute(f"grant select({COLUMN}) on {table} to {user}")
        await probe(where, [once])
        await write(where, once, rows)
    mariadb.execute(f"create table {table}(v int)")
    mariadb.execute(f"create user {user}@'%' identified by 'p'")
    mariadb.execute(f"grant insert, select on {mariadb.database}.{table} to {user}@'%'")
    place = test_mysql.resource(mariadb, username=user, password="p")
    assert "may not alter" in (await failing(place, once)).message
    mariadb.execute(f"alter table {table} add column {COLUMN} varchar(64) unique")
    assert "UPDATE command denied" in (await failing(place, once)).message
    with pytest.raises(Unavailable):
        await write(place, once, rows)
    mariadb.execute(f"grant update on {mariadb.database}.{table} to {user}@'%'")
    await probe(place, [once])
    await write(place, once, rows)


async def test_a_standby() -> None:
    with PostgreSQL() as server:
        server.execute("create table t(v int)")
        await probe(resource(server), [sql("insert into t(v) values (${v})")])
        server.stop()
        server.write("data/standby.signal", "")
        server.start()
        failed = await failing(resource(server), sql("insert into t(v) values (${v})"))
    assert (failed.hop, "standby" in failed.message) == ("database", True)


@pytest.mark.parametrize("size", [1, 8])
async def test_a_table_that_somebody_has_locked(postgresql: PostgreSQL, size: int) -> None:
    table = unique("t")
    postgresql.execute(f"create table {table}(v int)")
    into = sql(f"insert into {table}(v) values (${{v}})")
    with psycopg.connect(postgresql.dsn) as holder:
        holder.execute(f"lock table {table} in access exclusive mode")
        failed = await failing(resource(postgresql, pool_size=size), into, timeout=15.0)
        assert (failed.hop, "locked" in failed.message) == ("database", True)
        assert str(holder.info.backend_pid) in failed.cause
        with pytest.raises(Unavailable) as caught:
            await write(resource(postgresql, pool_size=size, write_timeout=1.0), into, [{"v": 1}])
        assert (caught.value.hop, "locked" in caught.value.message) == ("database", True), caught.value.cause
    await probe(resource(postgresql), [into])


async def test_a_procedure_of_mysql(mariadb: MariaDB) -> None:
    table, name = test_mysql.table(mariadb, "v int"), unique("p")
    mariadb.execute(f"create procedure {name}(v int) insert into {table} values (v)")
    await probe(test_mysql.resource(mariadb), [test_mysql.action(f"call {name}(${{v}})")])
    await write(test_mysql.resource(mariadb), test_mysql.action(f"call {name}(${{v}})"), [{"v": 7}, {"v": 8}])
    assert mariadb.execute(f"select v from {table} order by v") == [(7,), (8,)]


async def test_mysql_that_only_reads(mariadb: MariaDB) -> None:
    into = test_mysql.action(f"insert into {test_mysql.table(mariadb, 'v int')} values (${{v}})")
    for setting, off in (("read_only", "off"), ("tx_read_only", "off")):
        mariadb.execute(f"set global {setting} = on")
        try:
            failed = await failing(test_mysql.resource(mariadb), into)
            assert failed.hop == "database"
        finally:
            mariadb.execute(f"set global {setting} = {off}")
    await probe(test_mysql.resource(mariadb), [into])


async def test_a_table_of_mysql_that_somebody_has_locked(mariadb: MariaDB) -> None:
    table = test_mysql.table(mariadb, "v int")
    into = test_mysql.action(f"insert into {table} values (${{v}})")
    with mariadb._as_root() as holder, holder.cursor() as cursor:
        cursor.execute(f"use {mariadb.database}")
        cursor.execute(f"lock tables {table} write")
        with pytest.raises(Unavailable) as caught:
            await write(test_mysql.resource(mariadb, pool_size=1, write_timeout=1.0), into, [{"v": 1}])
        assert (caught.value.hop, "locked" in caught.value.message) == ("database", True), caught.value.cause
        cursor.execute("unlock tables")
    await probe(test_mysql.resource(mariadb), [into])


@pytest.mark.parametrize(
    "text",
    [
        "select ${a}",
        "select * from t where a = ${a}",
        "/* insert */ select ${a} -- insert",
        "with x as (select ${a}) select 'insert' from x",
        "values (${a})",
        "explain insert into t values (${a})",
        "set x = ${a}",
        "(select ${a})",
        "select f(a) from t where b = ${a}",
        "select * from f((select a from t where a = ${a}))",
        "select from t where a in (${a})",
    ],
)
def test_what_writes_nothing_is_refused_when_it_is_saved(text: str) -> None:
    for paths in (sql(text).paths, lambda: mysql.KIND.paths_of(sql(text))):
        with pytest.raises(TemplateError, match="writes nothing"):
            paths()


@pytest.mark.parametrize(
    "text",
    [
        "insert into t values (${a})",
        "  -- so\n INSERT into t values (${a})",
        "with x as (insert into t values (${a}) returning a) select * from x",
        "select f(${a})",
        "select * from s.f(${a})",
        "select ok, n from f(${a})",
        "call p(${a})",
        "update t set a = ${a}",
        "merge into t using (values (${a})) s(a) on t.a = s.a when not matched then insert values (s.a)",
    ],
)
def test_what_writes_is_taken(text: str) -> None:
    assert sql(text).paths() == (("a",),)


async def test_redis_that_takes_no_writes_from_a_user_who_may_not_ask(redis: Redis) -> None:
    """Its role is closed to this user; what the server says of the command itself is not."""
    user = unique("u")
    redis.execute("ACL", "SETUSER", user, "on", ">p", "~u:*", "+set", "+ping", "+multi", "+exec", "+discard", "+select")
    wanted = test_redis.resource(redis, username=user, password="p")
    await probe(wanted, [test_redis.action("SET u:1 ${v}")])
    await probe(wanted, [test_redis.action("SET ${key} ${v}")])  # which keys, nobody knows
    await probe(wanted, [test_redis.action("SET x${key} ${v}")])
    failed = await failing(wanted, test_redis.action("SET x:1 ${v}"))
    assert (failed.hop, "x:1" in failed.hint) == ("statement", True)
    for make, undo in (
        (("CONFIG", "SET", "min-replicas-to-write", "1"), ("CONFIG", "SET", "min-replicas-to-write", "0")),
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    ):
        redis.execute(*make)
        try:
            assert (await failing(wanted, test_redis.action("SET u:1 ${v}"))).hop == "database", make
        finally:
            redis.execute(*undo)
    await probe(wanted, [test_redis.action("SET u:1 ${v}")])
    assert redis.execute("EXISTS", "u:1") == 0
