"""SQL templates in MySQL's grammar, their fields as `?`, and an INSERT of one row as an INSERT of many.

insert into t(a, b) values (${a}, from_unixtime(${b} / 1000))
insert into t(a, b) values (?, from_unixtime(? / 1000)), (?, from_unixtime(? / 1000)), …
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tieline.integration.rules.compile.template import Path, check_closed, path
from tieline.integration.rules.values.errors import TemplateError

PARAMETERS: Final = 65535  # in one statement: their number is two bytes in COM_STMT_PREPARE's answer
#: The parts of SQL that a field cannot stand in, and fields; in order of what wins at one place (MySQL 8.0, 11).
_TOKEN: Final = re.compile(
    r"""(?P<quoted>'\$\{[^}']*\}'|"\$\{[^}"]*\}")|(?P<field>\$\{[^}]*\})"""
    r"""|(?P<text>'(?:[^'\\]|\\.|'')*+(?:'|\Z)|"(?:[^"\\]|\\.|"")*+(?:"|\Z))|(?P<name>`(?:[^`]|``)*+(?:`|\Z))"""
    r"""|(?P<comment>--(?=\s|$)[^\n]*|\#[^\n]*|/\*(?:.*?\*/|.*))|(?P<mark>\?)""",
    re.DOTALL,
)
_FIELD: Final = re.compile(r"\$\{([^}]*)\}")
_HEAD: Final = re.compile(
    r"\s*(insert|replace)\s+((low_priority|high_priority|delayed|ignore)\s+)*(into\s+)?[\w$.`]+\s*(\([\w\s,$`]+\)\s*)?"
    r"values?\s*\(",
    re.IGNORECASE,
)
_TAIL: Final = re.compile(r"\s*((as\s+\w+\s*(\([\w\s,]+\)\s*)?)?on\s+duplicate\s+key\s+update\s[^?]*)?$", re.IGNORECASE)
_UNFIT: Final = re.compile(r"\bselect\b", re.IGNORECASE)  # it should see the rows before it


@dataclass(frozen=True)
class Statement:
    """A statement with `?` for each path. Where it inserts one row, `row` is that, between `head` and `tail`."""

    sql: str
    paths: tuple[Path, ...]
    quoted: tuple[bool, ...] = ()  # for each path whether the template has it in quotes
    head: str = ""
    row: str = ""
    tail: str = ""

    @property
    def most(self) -> int:
        """The rows that one statement can take."""
        return PARAMETERS // len(self.paths) if self.row else 1

    def many(self, rows: int) -> str:
        """The statement for so many rows."""
        return self.head + ", ".join([self.row] * rows) + self.tail if self.row else self.sql


def statement(template: str) -> Statement:
    """A statement whose fields are parameters, so that no value can change it; raises TemplateError.

    `${field}` and `'${field}'` are the same. A field inside a longer text, a name or a comment is refused, as is `?`.
    """
    paths: list[Path] = []
    quoted: list[bool] = []

    def replace(match: re.Match[str]) -> str:
        if field := match["quoted"] or match["field"]:
            paths.append(path(field.strip("'\"")[2:-1]))
            quoted.append(field[0] != "$")
            return "?"
        if match["mark"]:
            raise TemplateError("? has no value: name a field as ${field}")
        if inner := _FIELD.search(match[0]):
            hint = f"a field is a value of its own, as in concat('text', {inner[0]})"
            raise TemplateError(f"{inner[0]} stands inside {match[0]}: {hint}", inner[1])
        return match[0]

    if not template.strip():
        raise TemplateError("the SQL template is empty")
    check_closed(template)
    sql = _TOKEN.sub(replace, template).rstrip().removesuffix(";").rstrip()
    if "${" in sql:
        raise TemplateError("a ${ is not closed")
    head = _HEAD.match(sql)
    end = closing(sql, head.end()) if head else -1
    if head is None or end < 0 or not paths:
        return Statement(sql, tuple(paths), tuple(quoted))
    row, tail = sql[head.end() - 1 : end + 1], sql[end + 1 :]
    if _UNFIT.search(row) or not _TAIL.match(tail):
        return Statement(sql, tuple(paths), tuple(quoted))
    return Statement(sql, tuple(paths), tuple(quoted), sql[: head.end() - 1], row, tail)


def closing(sql: str, start: int) -> int:
    """The place of the parenthesis that closes the one before `start`, -1 where there is none."""
    depth, at = 1, start
    while at < len(sql):
        token = _TOKEN.match(sql, at)
        if token and not token["mark"]:
            at = token.end()
            continue
        depth += {"(": 1, ")": -1}.get(sql[at], 0)
        if depth == 0:
            return at
        at += 1
    return -1


def between(row: str) -> list[str]:
    """The parts of an expression between its fields."""
    parts, start = [], 0
    for token in _TOKEN.finditer(row):
        if token["mark"]:
            parts.append(row[start : token.start()])
            start = token.end()
    return [*parts, row[start:]]


def items(row: str) -> list[str]:
    """The expressions of `(…, …)`."""
    found, depth, at, start = [], 0, 1, 1
    while at < len(row) - 1:
        token = _TOKEN.match(row, at)
        if token and not token["mark"]:
            at = token.end()
            continue
        depth += {"(": 1, ")": -1, "[": 1, "]": -1}.get(row[at], 0)
        if row[at] == "," and depth == 0:
            found.append(row[start:at])
            start = at + 1
        at += 1
    return [*found, row[start : len(row) - 1]]


def direct(row: str) -> list[tuple[int, int]]:
    """Of each field that is a value of `(…, …)` by itself, the place of the value and the place of the field."""
    places, field = [], 0
    for place, item in enumerate(items(row)):
        if item.strip() == "?":
            places.append((place, field))
        field += len(between(item)) - 1
    return places
