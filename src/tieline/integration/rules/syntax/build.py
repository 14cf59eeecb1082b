"""The nodes of the syntax tree, made by the parser as it goes: one method per rule of the grammar."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from lark import Token, Transformer, v_args

from tieline.integration.rules.syntax import syntax
from tieline.integration.rules.syntax.syntax import Expression

MAX_RANGE: Final = 10_000  # elements of a range
MAX_DIGITS: Final = 4200  # about as many as a whole number of values.MAX_BITS has
MODULE: Final = "emqx_rule_funcs."  # before a function's name, as some rules of EMQX have it


class Clause(NamedTuple):
    """An optional part of a statement or of a CASE, by its keyword."""

    word: str
    value: Any


class Misplaced(Exception):
    """A fault that the grammar alone does not see, at an offset in the text."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def _at(token: Token) -> int:
    return token.start_pos or 0


def _unquoted(token: Token) -> str:
    """A name without its double quotes, or a text without its single quotes; `''` in it is one of them."""
    if token.type == "QUOTED":
        return token[1:-1]
    if token.type == "STRING":
        return token[1:-1].replace("''", "'")
    return str(token)


def literal_place(sql: str, start: int, offset: int) -> int:
    """Where in a rule a character stands of a text whose quote is at `start`."""
    place = start + 1
    for _ in range(offset):
        place += 2 if sql.startswith("''", place) else 1
    return place


def _integer(token: Token) -> int:
    if len(token) > MAX_DIGITS:
        raise Misplaced(f"a number has at most {MAX_DIGITS} digits", _at(token))
    return int(token)


def _float(token: Token) -> float:
    value = float(token)
    if not math.isfinite(value):
        raise Misplaced("this number is too large", _at(token))
    return value


@v_args(inline=True)
class Build(Transformer[Token, Any]):
    """Turns each rule of the grammar into a node once its parts are there."""

    # Values

    def number(self, token: Token) -> Expression:
        return syntax.Const(_at(token), _integer(token) if token.type == "INTEGER" else _float(token))

    def string(self, token: Token) -> Expression:
        return syntax.Const(_at(token), _unquoted(token))

    def true(self, token: Token) -> Expression:
        return syntax.Const(_at(token), True)

    def false(self, token: Token) -> Expression:
        return syntax.Const(_at(token), False)

    def name(self, token: Token) -> Expression:
        return syntax.Name(_at(token), _unquoted(token))

    def list(self, *items: Expression) -> tuple[Expression, ...]:
        return items

    def array(self, bracket: Token, items: tuple[Expression, ...] = ()) -> Expression:
        return syntax.Array(_at(bracket), items)

    def bound(self, *tokens: Token) -> int:
        return -_integer(tokens[1]) if len(tokens) == 2 else _integer(tokens[0])

    def range(self, bracket: Token, first: int, last: int) -> Expression:
        if not 0 <= last - first < MAX_RANGE:
            raise Misplaced(f"a range goes upwards and has at most {MAX_RANGE} elements", _at(bracket))
        return syntax.Range(_at(bracket), first, last)

    def call(self, name: Token, arguments: tuple[Expression, ...] = ()) -> Expression:
        return syntax.Call(_at(name), str(name).lower().removeprefix(MODULE), arguments)

    # Paths

    def key(self, token: Token) -> str:
        return _unquoted(token)

    def member_step(self, key: str) -> str:
        return key

    def element_step(self, token: Token) -> syntax.Index:
        return syntax.Index(syntax.Const(_at(token), _integer(token)))

    def index_step(self, of: Expression) -> syntax.Index:
        return syntax.Index(of)

    def slice_step(self, first: int, last: int) -> syntax.Slice:
        return syntax.Slice(first, last)

    def get(self, base: Expression, *steps: str | syntax.Index | syntax.Slice) -> Expression:
        return syntax.Get(base.at, base, steps)

    # Operators

    def negative(self, sign: Token, of: Expression) -> Expression:
        if isinstance(of, syntax.Const) and type(of.value) in (int, float):
            return syntax.Const(_at(sign), -of.value)  # type: ignore[operator]
        return syntax.Negative(_at(sign), of)

    def positive(self, of: Expression) -> Expression:
        return of

    def arithmetic(self, left: Expression, operator: Token, right: Expression) -> Expression:
        return syntax.Arithmetic(_at(operator), str(operator).lower(), left, right)  # type: ignore[arg-type]

    def compare(self, left: Expression, operator: Token, right: Expression) -> Expression:
        sign = "!=" if operator == "<>" else str(operator)
        return syntax.Compare(_at(operator), sign, left, right)  # type: ignore[arg-type]

    def member(self, needle: Expression, word: Token, candidates: tuple[Expression, ...]) -> Expression:
        return syntax.In(_at(word), needle, candidates)

    def stranger(self, needle: Expression, no: Token, word: Token, candidates: tuple[Expression, ...]) -> Expression:
        return syntax.Not(_at(no), syntax.In(_at(word), needle, candidates))

    def negation(self, word: Token, of: Expression) -> Expression:
        return syntax.Not(_at(word), of)

    def conjunction(self, *terms: Expression) -> Expression:
        return terms[0] if len(terms) == 1 else syntax.Logic(terms[0].at, "and", terms)

    def disjunction(self, *terms: Expression) -> Expression:
        return terms[0] if len(terms) == 1 else syntax.Logic(terms[0].at, "or", terms)

    # CASE

    def subject(self, of: Expression) -> Clause:
        return Clause("subject", of)

    def when(self, condition: Expression, result: Expression) -> Clause:
        return Clause("when", (condition, result))

    def otherwise(self, result: Expression) -> Clause:
        return Clause("else", result)

    def case(self, word: Token, *clauses: Clause) -> Expression:
        branches = tuple(clause.value for clause in clauses if clause.word == "when")
        named = dict(clauses)
        return syntax.Case(_at(word), named.get("subject"), branches, named.get("else"))

    # Clauses

    def everything(self, star: Token) -> syntax.Everything:
        return syntax.Everything(_at(star))

    def alias(self, *steps: str | int | syntax.Edge) -> syntax.Path:
        return steps

    def place(self, *tokens: Token) -> int | syntax.Edge:
        number = self.bound(*tokens)
        if number:
            return number
        return syntax.Edge.TAIL if len(tokens) == 2 else syntax.Edge.HEAD

    def column(self, of: Expression, alias: syntax.Path = ()) -> syntax.Column:
        return syntax.Column(of.at, of, alias)

    def columns(self, *columns: syntax.Column | syntax.Everything) -> tuple[syntax.Column | syntax.Everything, ...]:
        return columns

    def bindings(self, *columns: syntax.Column) -> tuple[syntax.Column, ...]:
        return columns

    def topic(self, token: Token) -> str:
        return _unquoted(token)

    def topics(self, *topics: str) -> Clause:
        return Clause("from", topics)

    def where(self, condition: Expression) -> Clause:
        return Clause("where", condition)

    def do(self, columns: tuple[syntax.Column | syntax.Everything, ...]) -> Clause:
        return Clause("do", columns)

    def incase(self, condition: Expression) -> Clause:
        return Clause("incase", condition)

    def select(self, columns: tuple[syntax.Column | syntax.Everything, ...], *clauses: Clause) -> syntax.Select:
        named = dict(clauses)
        return syntax.Select(columns, named["from"], named.get("where"))

    def foreach(self, bindings: tuple[syntax.Column, ...], *clauses: Clause) -> syntax.Foreach:
        named = dict(clauses)
        return syntax.Foreach(bindings, named.get("do", ()), named.get("incase"), named["from"], named.get("where"))
