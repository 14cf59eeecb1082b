"""An INSERT of one row as an INSERT of many: the same expressions over arrays of parameters, in one statement.

insert into t(a, b) values ($1, to_timestamp($2::bigint / 1000.0))
insert into t(a, b) select r.p1, to_timestamp(r.p2::bigint / 1000.0)
    from unnest($1::text[], $2::bigint[]) as r(p1, p2)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tieline.integration.rules.template import SQL_TOKEN
from tieline.integration.sinks.conversion import TYPES

_HEAD: Final = re.compile(r"""\s*insert\s+into\s+[\w."]+\s*(\([\w\s,"]+\)\s*)?values\s*\(""", re.IGNORECASE)
#: What may follow the row. DO UPDATE may not: one statement cannot change the same row twice, two can.
_TAIL: Final = re.compile(r"\s*(on\s+conflict\s*(\([\w\s,\"]+\)\s*)?do\s+nothing)?\s*;?\s*$", re.IGNORECASE)
#: What means something else in a SELECT, or should see the rows before it.
_UNFIT: Final = re.compile(r"\b(default|select)\b", re.IGNORECASE)


def many_rows(sql: str, types: Sequence[str]) -> str | None:
    """The statement for many rows, whose parameters are arrays of these types; None where it has no such form."""
    head = _HEAD.match(sql)
    if head is None or not types or not all(name in TYPES for name in types):
        return None
    end = closing(sql, head.end())
    values, tail = sql[head.end() : end], sql[end + 1 :]
    if end < 0 or not _TAIL.match(tail) or _UNFIT.search(values):
        return None
    row = _without_parameters(values)
    into = re.sub(r"values\s*\($", "", head[0], flags=re.IGNORECASE)
    arrays = ", ".join(f"${n}::{name}[]" for n, name in enumerate(types, 1))
    names = ", ".join(f"p{n}" for n in range(1, len(types) + 1))
    return f"{into}select {row} from unnest({arrays}) as r({names}){tail}"


def closing(sql: str, start: int) -> int:
    """The place of the parenthesis that closes the one before `start`, -1 where there is none."""
    depth, at = 1, start
    while at < len(sql):
        token = SQL_TOKEN.match(sql, at)
        if token and not token["parameter"]:
            at = token.end()  # a text, a name or a comment, whatever is in it
            continue
        depth += {"(": 1, ")": -1}.get(sql[at], 0)
        if depth == 0:
            return at
        at += 1
    return -1


def _without_parameters(values: str) -> str:
    return SQL_TOKEN.sub(lambda token: f"r.p{token['parameter'][1:]}" if token["parameter"] else token[0], values)
