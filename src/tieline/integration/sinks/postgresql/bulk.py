"""The forms of a statement that take many rows: COPY, an INSERT of arrays, and the statement itself for each row.

insert into t(a, b) values ($1, to_timestamp($2::bigint / 1000.0))
insert into t(a, b) select (r.p1::text), to_timestamp((r.p2::int8)::bigint / 1000.0)
    from unnest($1::text[], $2::int8[]) as r(p1, p2)
copy t(a) from stdin (format binary); select (case when … then '1' else 'the columns have changed' end)::int
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Final, NamedTuple

from tieline.integration.rules.compile.template import SQL_TOKEN
from tieline.integration.sinks.postgresql.types import Parameter
from tieline.integration.sinks.sql.parentheses import closing

#: `INSERT INTO table (columns) VALUES ($1, …)` and nothing else: rows that COPY takes as they are.
_PLAIN: Final = re.compile(
    r"""\s*insert\s+into\s+(?P<table>[\w."]+)\s*\((?P<columns>[\w\s,"]+)\)\s*values\s*\((?P<values>[\s,$\d]+)\)\s*+;?\s*+""",
    re.IGNORECASE,
)
_COLUMN: Final = re.compile(r"""\s*(\w+|"(?:[^"]|"")+")\s*(?:,(?=\s*\S)|\s*$)""")
#: Of a table in pg_class: COPY does there what INSERT does. No view, foreign table, row-level security, rewrite rule.
COPYABLE: Final = "relkind in ('r', 'p') and not relrowsecurity and not relhasrules"
#: What the server says, as of a text that is no number; nobody who sends a row can have it say the same.
CHANGED: Final = f"the columns have changed ({secrets.token_hex(8)})"
_HEAD: Final = re.compile(r"""\s*insert\s+into\s+[\w."]+\s*(\([\w\s,"]+\)\s*)?values\s*\(""", re.IGNORECASE)
#: What may follow the row. DO UPDATE may not: one statement cannot change the same row twice, two can.
_TAIL: Final = re.compile(r"\s*+(on\s++conflict\s*+(\([\w\s,\"]+\)\s*+)?do\s++nothing)?\s*+;?\s*+$", re.IGNORECASE)
#: What means something else in a SELECT, or should see the rows before it.
_UNFIT: Final = re.compile(r"\b(default|select)\b", re.IGNORECASE)


class Plain(NamedTuple):
    """A table and its columns as the template names them, for COPY."""

    table: str
    columns: tuple[str, ...]


def plain(sql: str, parameters: int) -> Plain | None:
    """The table of an INSERT that does nothing but put its parameters, in their order, into columns."""
    found = _PLAIN.fullmatch(sql)
    ordered = ",".join(f"${n}" for n in range(1, parameters + 1))
    if found is None or re.sub(r"\s", "", found["values"]) != ordered:
        return None
    columns, at = [], 0
    while at < len(found["columns"]):
        column = _COLUMN.match(found["columns"], at)
        if column is None:
            return None
        columns.append(column[1])
        at = column.end()
    return Plain(found["table"], tuple(columns)) if len(columns) == parameters else None


def copy(target: Plain) -> str:
    """The COPY of rows of binary values."""
    return f"copy {target.table}({', '.join(target.columns)}) from stdin (format binary)"


def unchanged(target: Plain, namespace: int, row_type: str, parameters: Sequence[Parameter]) -> str:
    """A query that fails, saying CHANGED, unless the table is one that COPY may write to and its columns have these
    types. Sent together with COPY it sees what COPY saw: COPY's lock on the table stays until both have ended.
    """
    types = "".join(
        f" and pg_typeof((null::{row_type}).{column}) = {parameter.oid}"
        for column, parameter in zip(target.columns, parameters, strict=True)
    )
    same = f"(select {COPYABLE} and relnamespace = {namespace} from pg_class where oid = '{target.table}'::regclass)"
    return f"select (case when {same}{types} then '1' else '{CHANGED}' end)::int"


def each_row(sql: str, parameters: Sequence[Parameter]) -> str:
    """The statement with the type of each parameter said."""
    return _with_parameters(sql, [parameter.of(f"${n}") for n, parameter in enumerate(parameters, 1)])


def many_rows(sql: str, parameters: Sequence[Parameter]) -> str | None:
    """The statement for many rows, whose parameters are arrays of these types; None where it has no such form."""
    head = _HEAD.match(sql)
    if head is None or not parameters or any(parameter.wire.endswith("[]") for parameter in parameters):
        return None
    end = closing(sql, head.end())
    values, tail = sql[head.end() : end], sql[end + 1 :]
    if end < 0 or not _TAIL.match(tail) or _UNFIT.search(values):
        return None
    row = _with_parameters(values, [parameter.of(f"r.p{n}") for n, parameter in enumerate(parameters, 1)])
    into = re.sub(r"values\s*\($", "", head[0], flags=re.IGNORECASE)
    arrays = ", ".join(f"${n}::{parameter.wire}[]" for n, parameter in enumerate(parameters, 1))
    names = ", ".join(f"p{n}" for n in range(1, len(parameters) + 1))
    return f"{into}select {row} from unnest({arrays}) as r({names}){tail}"


def _with_parameters(sql: str, expressions: Sequence[str]) -> str:
    """The statement with these expressions for `$1`, `$2` …"""
    return SQL_TOKEN.sub(
        lambda token: expressions[int(token["parameter"][1:]) - 1] if token["parameter"] else token[0], sql
    )
