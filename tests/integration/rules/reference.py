"""A slow and obvious evaluator of expressions, which the compiler has to agree with."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable
from typing import Any

from tieline.integration.messages.message import NOT_JSON, Message
from tieline.integration.rules.syntax import syntax


class Failure(Exception):
    """The expression has no value."""


ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def sort(value: Any) -> str:
    """The kind of a value, as far as comparisons are concerned."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, (int, float)) else type(value).__name__


def number_in(text: str) -> float:
    if not re.fullmatch(r"[+-]?[0-9]+([.,][0-9]+(e[+-]?[0-9]+)?)?", text, re.IGNORECASE):
        raise Failure
    return float(text.replace(",", ".")) if re.search("[.,]", text) else int(text)


def rank(left: Any, right: Any) -> int:
    """Which of two parts of arrays or maps is the greater: 1, -1, or 0 for none."""
    order = ["number", "boolean", "null", "dict", "list", "str"]
    kinds = ["boolean" if sort(each) == "null" else sort(each) for each in (left, right)]
    if kinds[0] != kinds[1]:
        return 1 if order.index(kinds[0]) > order.index(kinds[1]) else -1
    if kinds[0] == "boolean":
        left, right = str(left).replace("None", "null").lower(), str(right).replace("None", "null").lower()
    if kinds[0] == "list":
        for one, other in zip(left, right, strict=False):
            if rank(one, other):
                return rank(one, other)
        left, right = len(left), len(right)
    if kinds[0] == "dict":
        if len(left) == len(right):
            return rank(sorted(left), sorted(right)) or rank(
                [left[k] for k in sorted(left)], [right[k] for k in sorted(right)]
            )
        left, right = len(left), len(right)
    return 1 if left > right else -1 if left < right else 0


def exactly(left: Any, right: Any) -> bool:
    """What IN and CASE ask for."""
    if left is None:
        return False
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


def compare(sign: str, left: Any, right: Any) -> bool:
    if left is None or right is None:
        return False
    kinds = {sort(left), sort(right)}
    if kinds == {"number", "str"}:
        left, right = (number_in(each) if isinstance(each, str) else each for each in (left, right))
    elif kinds == {"boolean", "str"}:
        left, right = (each if isinstance(each, str) else str(each).lower() for each in (left, right))
    elif len(kinds) > 1:
        return sign == "!="
    order = rank(left, right)
    return order == 0 if sign == "=" else order != 0 if sign == "!=" else ORDER[sign](order, 0)


def towards_zero(left: int, right: int) -> int:
    return math.trunc(left / right) if abs(left) < 2**50 else int(left / right)


def joined(value: Any) -> str:
    """A value in a text."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return re.sub(r"(\.\d+?)0*$", r"\1", f"{value:.10f}")
    return json.dumps(value, separators=(",", ":"))


def arithmetic(sign: str, left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    if sign == "+" and "str" in (sort(left), sort(right)):
        return joined(left) + joined(right)
    if sort(left) != "number" or sort(right) != "number":
        raise Failure
    if sign in ("div", "mod") and not (isinstance(left, int) and isinstance(right, int)):
        raise Failure
    if sign in ("/", "div", "mod") and right == 0:
        raise Failure
    calculate: dict[str, Callable[[], Any]] = {
        "+": lambda: left + right,
        "-": lambda: left - right,
        "*": lambda: left * right,
        "/": lambda: left / right,
        "div": lambda: towards_zero(left, right),
        "mod": lambda: left - right * towards_zero(left, right),
    }
    return calculate[sign]()


def step(value: Any, what: str | syntax.Index | syntax.Slice) -> Any:
    if isinstance(what, str):
        return value.get(what) if isinstance(value, dict) else None
    if isinstance(what, syntax.Slice) and not isinstance(value, list):
        raise Failure
    if not isinstance(value, list):
        return None
    if isinstance(what, syntax.Slice):
        numbered = list(enumerate(value, 1))
        first = what.first if what.first >= 0 else len(value) + 1 + what.first
        last = what.last if what.last >= 0 else len(value) + 1 + what.last
        return [item for number, item in numbered if max(first, 1) <= number <= max(last, 1)]
    assert isinstance(what.of, syntax.Const)
    index = int(what.of.value)
    if index == 0:
        return None
    place = index - 1 if index > 0 else len(value) + index
    return value[place] if 0 <= place < len(value) else None


def evaluate(node: syntax.Expression, message: Message) -> Any:
    """The value of an expression for a message; raises Failure."""

    def value(of: syntax.Expression) -> Any:
        return evaluate(of, message)

    match node:
        case syntax.Const():
            return node.value
        case syntax.Name():
            return message.fields()[node.name]
        case syntax.Get():
            return _get(node, message)
        case syntax.Array():
            return [value(item) for item in node.items]
        case syntax.Negative():
            return arithmetic("-", 0, value(node.of))
        case syntax.Arithmetic():
            return arithmetic(node.operator, value(node.left), value(node.right))
        case syntax.Case():
            return _case(node, message)
    return _condition(node, value)


def _condition(node: syntax.Expression, value: Callable[[syntax.Expression], Any]) -> bool:
    match node:
        case syntax.Compare():
            return compare(node.operator, value(node.left), value(node.right))
        case syntax.Logic(operator="and"):
            return all(value(term) is True for term in node.terms)
        case syntax.Logic():
            return any(value(term) is True for term in node.terms)
        case syntax.Not():
            return value(node.of) is False
        case syntax.In():
            needle, candidates = value(node.needle), [value(candidate) for candidate in node.candidates]
            return any(exactly(needle, candidate) for candidate in candidates)
    raise AssertionError(node)


def _get(node: syntax.Get, message: Message) -> Any:
    payload = isinstance(node.base, syntax.Name) and node.base.name == "payload"
    found = message.document() if payload else evaluate(node.base, message)
    for what in node.steps:
        found = step(None if found is NOT_JSON else found, what)
    return found


def _case(node: syntax.Case, message: Message) -> Any:
    subject = None if node.subject is None else evaluate(node.subject, message)
    for condition, result in node.branches:
        met = evaluate(condition, message)
        if (met is True) if node.subject is None else exactly(subject, met):
            return evaluate(result, message)
    return None if node.otherwise is None else evaluate(node.otherwise, message)
