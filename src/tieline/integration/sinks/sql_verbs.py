"""What a SQL statement does, by its first words: whether it writes, and whether it calls something."""

from __future__ import annotations

import re
from typing import Final

from tieline.integration.rules.errors import TemplateError

#: What is passed over: comments, and parentheses before the first word.
_BEFORE: Final = re.compile(r"(?:\s|\(|--[^\n]*\n?|\#[^\n]*\n?|/\*.*?\*/)*", re.DOTALL)
#: Texts, names in quotes and comments, in which words mean nothing.
_QUOTED: Final = re.compile(
    r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`|\$(\w*)\$.*?\$\1\$|--[^\n]*|/\*.*?\*/""", re.DOTALL
)
_WORD: Final = re.compile(r"[a-z]+", re.IGNORECASE)
_WRITING: Final = frozenset({"insert", "replace", "update", "delete", "merge", "upsert", "call", "execute", "do"})
#: Statements without rows, which change something all the same.
_CHANGING: Final = frozenset({"truncate", "refresh", "notify", "create", "drop", "alter", "load"})
#: `select f(…)`, which may be a function that writes; the server is asked where it tells.
_FUNCTION: Final = re.compile(r"""\s*select\s+(?P<name>[\w."`]+)\s*\(""", re.IGNORECASE)
_CALL: Final = re.compile(r"""\s*call\s+(?P<name>[\w."`]+)""", re.IGNORECASE)
_FROM: Final = re.compile(r"\bfrom\b", re.IGNORECASE)
HINT: Final = "write insert, update, delete, merge, replace or call, or select f(…) of a function that writes"


def verb(sql: str) -> str:
    """The first word of a statement, in lower case."""
    before = _BEFORE.match(sql)
    found = _WORD.match(sql, before.end() if before else 0)
    return found[0].lower() if found else ""


def check_writes(sql: str) -> None:
    """Raises TemplateError for a statement that writes nothing, whose rows would count as written all the same."""
    first, bare = verb(sql), _QUOTED.sub("''", sql)
    if first in _WRITING or first in _CHANGING:
        return
    words = {word.lower() for word in _WORD.findall(bare)}
    if first == "with" and words & {"insert", "update", "delete", "merge", "replace"}:
        return
    if first == "select" and function(sql) and not _FROM.search(bare):
        return
    raise TemplateError(f"{first or 'the statement'} writes nothing: {HINT}")


def function(sql: str) -> str:
    """The name of the function in `select f(…)`, "" where it is something else."""
    before = _BEFORE.match(sql)
    found = _FUNCTION.match(sql, before.end() if before else 0)
    return found["name"] if found else ""


def procedure(sql: str) -> str:
    """The name of the procedure in `call p(…)`, "" where it is something else."""
    before = _BEFORE.match(sql)
    found = _CALL.match(sql, before.end() if before else 0)
    return found["name"] if found else ""
