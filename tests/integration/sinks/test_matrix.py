"""Generated values for every type of column by every way of writing, against the real servers."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pymysql
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from databases import ClickHouse, MariaDB
from integration.sinks import matrix, test_clickhouse, test_mysql
from integration.sinks.matrix import Column, Server
from integration.world import flow
from servers import PostgreSQL
from tieline.integration.sinks.sql.sql import Sql

pytestmark = pytest.mark.world

BOUNDED = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # the first that is found is told, without looking for the smallest
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FEWER = settings(BOUNDED, max_examples=60)
HALF = Decimal("0.5")
DAY = 86_400_000_000


class Session:
    """A connection that reads the rows back."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def execute(self, statement: str) -> list[Any]:
        cursor = self.connection.cursor()
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


def read_by_server(connection: Any, kind: str) -> matrix.Right:
    """What the server itself makes of a value's text."""

    def same(value: Any, stored: Any) -> bool:
        said = value.decode() if isinstance(value, bytes) else value
        said = said if isinstance(said, str) else json.dumps(said, separators=(",", ":"), ensure_ascii=False)
        with connection.cursor() as cursor:
            cursor.execute(f"select %s::text::{kind}::text", (said,))
            return bool(cursor.fetchone()[0] == stored)

    return same


def postgresql_columns(connection: Any) -> list[Column]:
    others = {"interval": "1 day", "time": "12:30", "inet": "10.0.0.1", "int4range": "[1,5)", "point": "(1,2)"}
    return [
        Column("smallint", matrix.whole, 1),
        Column("int", matrix.whole, 1),
        Column("bigint", matrix.whole, 1),
        Column("real", matrix.single, 1.5, "v::text"),
        Column("double precision", matrix.double, 1.5),
        Column("numeric", matrix.within(Decimal(0)), 1),
        Column("numeric(12, 3)", matrix.within(HALF.scaleb(-3)), 1),
        Column("text", matrix.text, "a"),
        Column("varchar(10)", matrix.text, "a"),
        Column("jsonb", matrix.document, {}, "v::text"),
        Column("json", matrix.document, {}, "v::text"),
        Column("boolean", matrix.boolean, True),
        Column("timestamptz", matrix.moment(1), 0),
        Column("timestamp", matrix.moment(1), 0),
        Column("date", matrix.moment(DAY), 0, "v::timestamp"),
        Column("bytea", matrix.octets, b"a"),
        Column("uuid", matrix.identifier, "6f1c1b1e-8f0e-4d0b-9d55-0a9b3e1c2d3f"),
        *(Column(kind, read_by_server(connection, kind), good, "v::text") for kind, good in others.items()),
    ]


POSTGRESQL_WAYS = {
    "copy": "insert into {t}(n, v) values (${{n}}, ${{v}})",
    "unnest": "insert into {t}(n, v) values (abs(${{n}}::int), ${{v}})",
    "executemany": "insert into {t}(n, v) values (${{n}}, ${{v}}) on conflict (n) do update set n = excluded.n",
    "view": "insert into {t}_view(n, v) values (${{n}}, ${{v}})",
}
POSTGRESQL_CREATE = "create table {t}(n int primary key, v {type}); create view {t}_view as select * from {t}"


def of_postgresql(server: PostgreSQL) -> Server:
    connection = psycopg.connect(server.dsn, autocommit=True)
    connection.execute("set time zone 'UTC'")
    for place in range(30):
        connection.execute(f"drop table if exists matrix_{place} cascade".encode())
    return Server(
        Session(connection),
        flow.resource(server, pool_size=1),
        lambda sql: Sql(id="a", resource="pg", sql=sql),
        POSTGRESQL_WAYS,
        postgresql_columns(connection),
        POSTGRESQL_CREATE,
        connection,
    )


def of_mariadb(server: MariaDB) -> Server:
    connection = pymysql.connect(
        host="127.0.0.1", port=server.port, user=server.user, password=server.password, database="app", autocommit=True
    )
    columns = [
        Column("tinyint", matrix.rounded, 1),
        Column("int", matrix.rounded, 1),
        Column("bigint", matrix.rounded, 1),
        Column("bigint unsigned", matrix.rounded, 1),
        Column("double", matrix.double, 1.5),
        Column("decimal(40, 6)", matrix.within(HALF.scaleb(-6)), 1),
        Column("varchar(20) collate utf8mb4_bin", lambda value, stored: matrix.text(_plain(value), stored), "a"),
        Column("json", matrix.read_document, "{}"),
        Column("datetime(6)", _mysql_moment, "2023-11-14"),
        Column("date", _mysql_moment, "2023-11-14", "cast(v as datetime(6))"),
        Column("varbinary(20)", _binary, b"a"),
    ]
    ways = {
        "many": "insert into {t}(n, v) values (${{n}}, ${{v}})",
        "update": "insert into {t}(v, n) values (${{v}}, ${{n}}) on duplicate key update v = values(v)",
    }
    where = test_mysql.resource(server, pool_size=1)
    return Server(Session(connection), where, test_mysql.action, ways, columns, reading=connection)


def _plain(value: Any) -> Any:
    """A boolean is a number to MySQL."""
    return int(value) if isinstance(value, bool) else value


def _binary(value: Any, stored: Any) -> bool:
    """Bytes, and everything else as its text."""
    return bool(value == stored if isinstance(value, bytes) else matrix.text(_plain(value), stored.decode()))


def _mysql_moment(value: Any, stored: Any) -> bool:
    """Digits of a date, or its text."""
    digits = str(value).strip()
    if digits.isascii() and digits.isdigit() and len(digits) in (6, 8, 12, 14):
        return bool(f"{stored:%Y%m%d%H%M%S}".endswith(digits) or f"{stored:%Y%m%d}".endswith(digits))
    said = datetime.datetime.fromisoformat(value.decode() if isinstance(value, bytes) else value)
    return bool(stored in (said, said.replace(hour=0, minute=0, second=0, microsecond=0)) and said.tzinfo is None)


def of_clickhouse(server: ClickHouse) -> Server:
    columns = [
        *(Column(kind, matrix.whole, 1, "toString(v)") for kind in ("Int8", "UInt8", "Int32", "Int64", "UInt64")),
        Column("Float32", matrix.nearly(1e-6), 1.5, "toString(v)"),
        Column("Float64", matrix.nearly(1e-15), 1.5, "toString(v)"),
        Column("Decimal(18, 4)", matrix.within(HALF.scaleb(-4)), 1, "toString(v)"),
        Column("String", matrix.hexadecimal, "a", "hex(v)"),
        Column("DateTime('UTC')", _clickhouse_moment, 1, "toUInt32(v)"),
        Column("Date", _clickhouse_day, 1, "toUInt16(v)"),
        Column("UUID", matrix.identifier, "6f1c1b1e-8f0e-4d0b-9d55-0a9b3e1c2d3f"),
    ]
    ways = {
        "values": "insert into {t}(n, v) values (${{n}}, ${{v}})",
        "quoted": "insert into {t} values ('${{n}}', '${{v}}')",
    }
    create = "create table {t}(n Int64, v {type}) engine = Memory"
    return Server(server, test_clickhouse.resource(server, pool_size=1), test_clickhouse.action, ways, columns, create)


def _clickhouse_moment(value: Any, stored: int) -> bool:
    exact = matrix.number(value)
    if exact is not None:
        return stored in (exact, exact // 1000)
    said = datetime.datetime.fromisoformat(value)
    return stored == int((said if said.tzinfo else said.replace(tzinfo=matrix.UTC)).timestamp())


def _clickhouse_day(value: Any, stored: int) -> bool:
    exact = matrix.number(value)
    if exact is not None:
        return stored in (exact, exact // 86400, exact // 86_400_000)
    said = datetime.datetime.fromisoformat(value)
    return stored == int((said if said.tzinfo else said.replace(tzinfo=matrix.UTC)).timestamp()) // 86400


@pytest.fixture(scope="module")
def postgresql_matrix(postgresql: PostgreSQL) -> Iterator[Server]:
    server = of_postgresql(postgresql)
    yield server
    server.close()
    assert min(server.accepted, server.refused) > 10  # both ends were met


@pytest.fixture(scope="module")
def mariadb_matrix(mariadb: MariaDB) -> Iterator[Server]:
    server = of_mariadb(mariadb)
    yield server
    server.close()
    assert min(server.accepted, server.refused) > 10  # both ends were met


@pytest.fixture(scope="module")
def clickhouse_matrix(clickhouse: ClickHouse) -> Iterator[Server]:
    server = of_clickhouse(clickhouse)
    yield server
    server.close()
    assert min(server.accepted, server.refused) > 10  # both ends were met


def one(server: Server, data: st.DataObject, value: Any) -> None:
    server.check(data.draw(st.sampled_from([*server.ways])), data.draw(st.sampled_from(server.columns)), value)


@BOUNDED
@given(st.data(), matrix.VALUES)
def test_postgresql(postgresql_matrix: Server, data: st.DataObject, value: Any) -> None:
    one(postgresql_matrix, data, value)


@BOUNDED
@given(st.data(), matrix.VALUES)
def test_mariadb(mariadb_matrix: Server, data: st.DataObject, value: Any) -> None:
    one(mariadb_matrix, data, value)


@FEWER
@given(st.data(), matrix.VALUES)
def test_clickhouse_columns(clickhouse_matrix: Server, data: st.DataObject, value: Any) -> None:
    one(clickhouse_matrix, data, value)
