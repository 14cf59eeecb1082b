"""Parentheses in SQL."""

from __future__ import annotations

from tieline.integration.rules.compile.template import SQL_TOKEN


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
