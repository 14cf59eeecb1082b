"""What a SQL statement does, by its first words: whether it writes, and whether it calls something."""

from __future__ import annotations

import re
from typing import Final

from tieline.integration.rules.values.errors import TemplateError

#: What is passed over: comments, and parentheses before the first word.
_BEFORE: Final = re.compile(r"(?:\s|\(|--[^\n]*\n?|\#[^\n]*\n?|/\*.*?\*/)*", re.DOTALL)
#: Texts, names in quotes and comments, in which words mean nothing.
_QUOTED: Final = re.compile(r"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`[^`]*`|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_WORD: Final = re.compile(r"[a-z]+", re.IGNORECASE)
_WRITING: Final = frozenset({"insert", "replace", "update", "delete", "merge", "upsert", "call", "execute", "do"})
#: Statements without rows, which change something all the same.
_CHANGING: Final = frozenset({"truncate", "refresh", "notify", "create", "drop", "alter", "load"})
#: `select f(…)` and `select … from f(…)`: a function that may write; the server is asked where it tells.
_FUNCTION: Final = re.compile(
    r"""\s*select\s+(?:[\w*.,\s]+?\sfrom\s+)?(?P<name>(?!from\b)[\w."`]+)\s*\(""", re.IGNORECASE
)
_CALL: Final = re.compile(r"""\s*call\s+(?P<name>[\w."`]+)""", re.IGNORECASE)
_FROM: Final = re.compile(r"\bfrom\b", re.IGNORECASE)
HINT: Final = "write insert, update, delete, merge, replace or call, or select f(…) of a function that writes"


def _start(sql: str) -> int:
    """Where a statement's first word is."""
    before = _BEFORE.match(sql)
    return before.end() if before else 0


def verb(sql: str) -> str:
    """The first word of a statement, in lower case."""
    found = _WORD.match(sql, _start(sql))
    return found[0].lower() if found else ""


def check_writes(sql: str) -> None:
    """Raises TemplateError for a statement that writes nothing, whose rows would count as written all the same."""
    first, bare = verb(sql), _QUOTED.sub("''", sql)
    if first in _WRITING or first in _CHANGING:
        return
    words = {word.lower() for word in _WORD.findall(bare)}
    if first == "with" and words & {"insert", "update", "delete", "merge", "replace"}:
        return
    called = _FUNCTION.match(sql, _start(sql)) if first == "select" else None
    if called and len(_FROM.findall(bare)) == len(_FROM.findall(called[0])):  # it reads from nothing else
        return
    raise TemplateError(f"{first or 'the statement'} writes nothing: {HINT}")


def function(sql: str) -> str:
    """The name of the function in `select f(…)`, "" where it is something else."""
    found = _FUNCTION.match(sql, _start(sql))
    return found["name"] if found else ""


def procedure(sql: str) -> str:
    """The name of the procedure in `call p(…)`, "" where it is something else."""
    found = _CALL.match(sql, _start(sql))
    return found["name"] if found else ""
