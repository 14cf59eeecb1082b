"""An INSERT of one row becomes an INSERT of many only where both mean the same."""

from __future__ import annotations

import pytest

from tieline.integration.sinks.postgresql.bulk import each_row, many_rows, plain
from tieline.integration.sinks.postgresql.types import Parameter


@pytest.mark.parametrize(
    ("sql", "types", "expected"),
    [
        (
            "insert into t(a, b) values ($1, to_timestamp($2::bigint / 1000.0))",
            ["text", "int8"],
            "insert into t(a, b) select (r.p1::text), to_timestamp((r.p2::int8)::bigint / 1000.0)"
            " from unnest($1::text[], $2::int8[]) as r(p1, p2)",
        ),
        (
            "INSERT INTO s.\"T\" VALUES (upper($1 || ') $2'), ($2)) on conflict (a) do nothing;",
            ["text", "int4"],
            "INSERT INTO s.\"T\" select upper((r.p1::text) || ') $2'), ((r.p2::int4))"
            " from unnest($1::text[], $2::int4[]) as r(p1, p2) on conflict (a) do nothing;",
        ),
        ("insert into t(a) values ($1) on conflict (a) do update set a = 1", ["text"], None),
        ("insert into t(a) values ($1), ($2)", ["text", "text"], None),
        ("insert into t(a) values ($1, default)", ["text"], None),
        ("insert into t(a) values ((select max(a) + $1 from t))", ["int4"], None),
        ("insert into t(a) values (1)", [], None),
        ("insert into t(a) values ($1)", ["int4[]"], None),
        ("insert into t(a) select $1", ["text"], None),
        ("update t set a = $1", ["text"], None),
        ("insert into t(a) values ($1", ["text"], None),
    ],
)
def test_many_rows(sql: str, types: list[str], expected: str | None) -> None:
    assert many_rows(sql, [Parameter(0, name, name) for name in types]) == expected


@pytest.mark.parametrize(
    ("sql", "parameters", "table", "columns"),
    [
        ("insert into t(a, B) values ($1, $2);", 2, "t", ("a", "B")),
        ('INSERT INTO s."T.x" ( "A, b" , "c""d") VALUES ( $1,$2 )', 2, 's."T.x"', ('"A, b"', '"c""d"')),
    ],
)
def test_an_insert_that_copy_can_do(sql: str, parameters: int, table: str, columns: tuple[str, ...]) -> None:
    assert plain(sql, parameters) == (table, columns)


@pytest.mark.parametrize(
    "sql",
    [
        "insert into t(a, b) values ($2, $1)",
        "insert into t(a, b) values ($1, 1)",
        "insert into t(a) values ($1, $2)",
        "insert into t(a, b) values ($1, $2) on conflict do nothing",
        "insert into t values ($1, $2)",
        "insert into t(a, b,) values ($1, $2)",
        'insert into t(a "b", c) values ($1, $2)',
    ],
)
def test_an_insert_that_copy_cannot_do(sql: str) -> None:
    assert plain(sql, 2) is None


def test_a_type_that_is_not_known_is_read_by_the_server() -> None:
    mood = Parameter(0, "other", "text", '"app"."mood"')
    whole = Parameter(0, "int4", "int4")
    sql = "insert into t(a, b) values ($1, '$2' || $2)"
    assert each_row(sql, [mood, whole]) == (
        """insert into t(a, b) values (($1::text::"app"."mood"), '$2' || ($2::int4))"""
    )
    assert many_rows(sql, [mood, whole]) == (
        """insert into t(a, b) select (r.p1::text::"app"."mood"), '$2' || (r.p2::int4)"""
        " from unnest($1::text[], $2::int4[]) as r(p1, p2)"
    )
