"""An INSERT of one row becomes an INSERT of many only where both mean the same."""

from __future__ import annotations

import pytest

from tieline.integration.sinks.postgresql_bulk import many_rows


@pytest.mark.parametrize(
    ("sql", "types", "expected"),
    [
        (
            "insert into t(a, b) values ($1, to_timestamp($2::bigint / 1000.0))",
            ["text", "int8"],
            "insert into t(a, b) select r.p1, to_timestamp(r.p2::bigint / 1000.0)"
            " from unnest($1::text[], $2::int8[]) as r(p1, p2)",
        ),
        (
            "INSERT INTO s.\"T\" VALUES (upper($1 || ') $2'), ($2)) on conflict (a) do nothing;",
            ["text", "int4"],
            "INSERT INTO s.\"T\" select upper(r.p1 || ') $2'), (r.p2)"
            " from unnest($1::text[], $2::int4[]) as r(p1, p2) on conflict (a) do nothing;",
        ),
        ("insert into t(a) values ($1) on conflict (a) do update set a = 1", ["text"], None),
        ("insert into t(a) values ($1), ($2)", ["text", "text"], None),
        ("insert into t(a) values ($1, default)", ["text"], None),
        ("insert into t(a) values ((select max(a) + $1 from t))", ["int4"], None),
        ("insert into t(a) values (1)", [], None),
        ("insert into t(a) values ($1)", ["int4[]"], None),
        ("insert into t(a) values ($1)", ["mood"], None),
        ("insert into t(a) select $1", ["text"], None),
        ("update t set a = $1", ["text"], None),
        ("insert into t(a) values ($1", ["text"], None),
    ],
)
def test_many_rows(sql: str, types: list[str], expected: str | None) -> None:
    assert many_rows(sql, types) == expected
