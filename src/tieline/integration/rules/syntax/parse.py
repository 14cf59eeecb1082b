"""From the text of a rule to its syntax tree, or to an error that names the place and what could have stood there."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any, Final

import lark
import msgspec

from tieline.integration.messages import events
from tieline.integration.messages.topics import filter_fault
from tieline.integration.rules.syntax import syntax
from tieline.integration.rules.syntax.build import Build, Misplaced
from tieline.integration.rules.values.errors import RuleError

MAX_LENGTH: Final = 65536  # characters
MAX_DEPTH: Final = 50  # of nested expressions; the Python compiler behind a rule allows about 200 parentheses

MAX_ELEMENTS: Final = 100_000  # of all ranges

#: What a terminal of the grammar is called in an error message; operators are summed up as one.
WORDS: Final = {
    "NAME": "a name",
    "QUALIFIED": "a name",
    "QUOTED": 'a name in "double quotes"',
    "STRING": "a text in 'single quotes'",
    "INTEGER": "a number",
    "FLOAT": "a number",
    "STAR": "'*'",
    "LSQB": "'['",
    "_LSQB": "'['",
    "_RSQB": "']'",
    "_LPAR": "'('",
    "_RPAR": "')'",
    "_COMMA": "','",
    "_DOT": "'.'",
    "_RANGE": "'..'",
    "EQUAL": "an operator",
    "COMPARISON": "an operator",
    "SLASH": "an operator",
    "PLUS": "an operator",
    "MINUS": "an operator",
    "DIV": "an operator",
    "MOD": "an operator",
    "$END": "the end of the rule",
}
_STARTS: Final = {"NAME", "QUOTED", "STRING", "INTEGER", "FLOAT", "MINUS", "CASE", "_LPAR"}  # of an expression


@cache
def _parser() -> lark.Lark:
    grammar = (resources.files("tieline.integration.rules.syntax") / "grammar.lark").read_text()
    return lark.Lark(grammar, parser="lalr", transformer=Build(), maybe_placeholders=False)


def parse(text: str) -> syntax.Statement:
    """The tree of a rule's SQL; raises RuleError."""
    if len(text) > MAX_LENGTH:
        raise RuleError(f"a rule has at most {MAX_LENGTH} characters", text, MAX_LENGTH)
    try:
        tree = _tree(text)
    except lark.exceptions.UnexpectedInput as error:
        raise _grammar_error(text, error) from None
    except Misplaced as error:
        raise RuleError(str(error), text, error.offset) from None
    _check_depth(text, tree)
    _check_ranges(text, tree)
    _check_topics(text, tree)
    statement: syntax.Statement = tree
    return statement


def _tree(text: str) -> Any:
    """The tree, or an error of the parser. A rule that is none, unless `\\'` in a text is a quote, is read so: earlier
    versions took it for one.
    """
    try:
        return _parser().parse(text)
    except lark.exceptions.UnexpectedInput:
        if "\\'" not in text:
            raise
        with contextlib.suppress(lark.exceptions.UnexpectedInput):
            return _parser().parse(text.replace("\\'", "''"))
        raise


def _grammar_error(text: str, error: lark.exceptions.UnexpectedInput) -> RuleError:
    offset = error.pos_in_stream if error.pos_in_stream is not None else len(text)
    terminals: set[str] = set()
    if isinstance(error, lark.exceptions.UnexpectedToken):
        terminals = set(error.accepts or error.expected)
        found = str(error.token)
        if error.token.type == "$END":
            offset, found = len(text), ""
    else:
        terminals = set(getattr(error, "allowed", None) or ())
        found = text[offset : offset + 1]
    expected = _words(terminals)
    if found in ("'", '"'):
        return RuleError(f"the text after {found} is not closed", text, offset, found=found, expected=(found,))
    what = f"{found!r} cannot stand here" if found else "the rule ends too early"
    return RuleError(f"{what}; expected {_either(expected)}", text, offset, found=found, expected=expected)


def _words(terminals: set[str]) -> tuple[str, ...]:
    """What the terminals are called, an expression counting as one, in a fixed order."""
    words = set()
    if terminals == {"QUOTED", "STRING", "NAME"}:
        return ('a topic filter in "double quotes"',)
    if terminals >= _STARTS:
        words.add("an expression")
        terminals = terminals - _STARTS - {"TRUE", "FALSE", "NOT", "PLUS", "LSQB", "DIV", "MOD", "QUALIFIED"}
    words |= {WORDS.get(terminal, terminal.strip("_")) for terminal in terminals}
    return tuple(sorted(words, key=lambda word: (not word[:1].isalpha(), word.lower())))


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1] if words else "something else"]))


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        yield from value
    elif isinstance(value, msgspec.Struct):
        yield from (getattr(value, field) for field in value.__struct_fields__)


def _check_depth(text: str, tree: Any) -> None:
    """Refuse what the compilers behind would not take, walking without recursion."""
    waiting = [(tree, 0, 0)]
    while waiting:
        value, depth, at = waiting.pop()
        if isinstance(value, syntax.Node):
            depth, at = depth + 1, value.at
        steps = (
            value.steps if isinstance(value, syntax.Get) else value.alias if isinstance(value, syntax.Column) else ()
        )
        if max(depth, len(steps)) > MAX_DEPTH:
            raise RuleError(f"expressions and paths are nested at most {MAX_DEPTH} deep", text, at)
        chained = value.left if isinstance(value, syntax.Arithmetic) else None  # a + b + c is one level
        waiting.extend((child, depth - (child is chained), at) for child in _children(value))


def _check_ranges(text: str, tree: Any) -> None:
    """Refuse ranges that together have too many elements."""
    waiting, total = [tree], 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, syntax.Range):
            total += value.last - value.first + 1
            if total > MAX_ELEMENTS:
                raise RuleError(f"the ranges of a rule have at most {MAX_ELEMENTS} elements together", text, value.at)
        waiting.extend(_children(value))


def _check_topics(text: str, statement: syntax.Statement) -> None:
    for topic in statement.topics:
        if fault := filter_fault(topic) or events.fault(topic):
            place = re.search(r"""from\s.*?(["'])""" + re.escape(topic), text, re.IGNORECASE | re.DOTALL)
            message = f"{topic!r} cannot be read from: {fault}"
            raise RuleError(message, text, place.start(1) if place else 0, found=topic)
