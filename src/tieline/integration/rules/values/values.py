"""What operators and paths do to values while a rule runs.

Values are JSON's, and bytes. None is NULL, and stands for what is missing as well: the two differ for a few functions
only (`is_null`, `coalesce`, `str` …), which get MISSING for what is not there. Arithmetic with NULL is NULL.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

from tieline.integration.messages.json_text import MISSING, NOT_JSON, decode, encode
from tieline.integration.rules.values.errors import RuleFailure

__all__ = ["MISSING"]  # what is not there, for functions that tell it from JSON's null

NUMBERS: Final = frozenset({int, float})
_KINDS: Final[dict[type, str]] = {
    int: "a number",
    float: "a number",
    str: "a text",
    bool: "a boolean",
    bytes: "bytes",
    list: "an array",
    dict: "a map",
    type(None): "NULL",
}
#: Of a whole number; beyond this it is a mistake that would only grow, and Python would not write it as a text
#: (https://docs.python.org/3/library/stdtypes.html#int-max-str-digits: 4,300 digits).
MAX_BITS: Final = 14_000


class Bits(bytes):
    """Bits that are no whole bytes: `size` of them, from the left, filled up with zeros."""

    size = 0


def kind(value: Any) -> str:
    """What a value is, in words."""
    if value is MISSING:
        return "NULL"
    return "bytes" if isinstance(value, bytes) else _KINDS.get(type(value), type(value).__name__)


def settle(value: Any) -> Any:
    """A function's result where a rule uses it: what is missing is NULL, and bits are bytes."""
    if value is MISSING:
        return None
    return bytes(value) if value.__class__ is Bits else value


# Texts

to_json: Final = encode
UNDEFINED: Final = "undefined"  # what a missing value is in a text, as in EMQX


def as_text(value: Any, undefined: str = UNDEFINED) -> str:
    """A value inside a template: texts as they are, everything else as JSON, with every digit."""
    if value is None:
        return undefined
    if isinstance(value, str):
        return value
    return value.decode("latin-1") if isinstance(value, bytes) else to_json(value)


# Paths


def opened(value: Any) -> Any:
    """A value in which something is looked up: a text that holds JSON stands for what it holds."""
    if value.__class__ is str or value.__class__ is bytes:
        try:
            return decode(value)
        except NOT_JSON:
            return None
    return value


def get(container: Any, key: str, missing: Any = None) -> Any:
    """The value under a key; a text that holds JSON is looked into; `missing` where there is none."""
    container = opened(container)
    return container.get(key, missing) if container.__class__ is dict else missing


def element(array: Any, index: Any, missing: Any = None) -> Any:
    """The element at an index from 1, from the end where negative; `missing` where there is none, and for 0."""
    array = opened(array)
    if array.__class__ is dict:
        return array.get(str(index), missing)
    if array.__class__ is not list or type(index) is not int or index == 0:
        return missing
    place = index - 1 if index > 0 else index
    return array[place] if -len(array) <= place < len(array) else missing


def elements(array: Any, first: int, last: int) -> Any:
    """The elements from the first to the last index, both included."""
    if not isinstance(array, list):
        raise RuleFailure(f"[{first}..{last}] is a part of an array, not of {kind(array)}")
    begin, end = (i - 1 if i > 0 else max(len(array) + i, 0) if i < 0 else 0 for i in (first, last))
    return array[begin : end + 1]


# Arithmetic


def _failure(sign: str, left: Any, right: Any) -> RuleFailure:
    return RuleFailure(f"{kind(left)} {sign} {kind(right)} has no meaning")


def bounded(value: Any) -> Any:
    """A number that is neither too large nor none; raises RuleFailure."""
    if type(value) is int and value.bit_length() > MAX_BITS:
        raise RuleFailure(f"a whole number of more than {MAX_BITS} bits")
    if type(value) is float and not math.isfinite(value):
        raise RuleFailure("the result is too large")
    return value


def _numeric(sign: str, calculate: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def calculated(left: Any, right: Any) -> Any:
        if left is None or right is None:
            return None
        if left.__class__ not in NUMBERS or right.__class__ not in NUMBERS:
            raise _failure(sign, left, right)
        try:
            return bounded(calculate(left, right))
        except ZeroDivisionError:
            raise RuleFailure(f"{left} {sign} {right}: division by zero") from None
        except OverflowError:
            raise RuleFailure(f"{left} {sign} {right}: the result is too large") from None

    return calculated


def _whole(sign: str, calculate: Callable[[int, int], int]) -> Callable[[Any, Any], Any]:
    def checked(left: Any, right: Any) -> int:
        if type(left) is not int or type(right) is not int:
            raise RuleFailure(f"{sign} takes whole numbers, not {left} and {right}")
        return calculate(left, right)

    return _numeric(sign, checked)


def _quotient(left: int, right: int) -> int:
    """Rounded towards zero, as Erlang's `div`."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


sum_of = _numeric("+", operator.add)
subtract = _numeric("-", operator.sub)
multiply = _numeric("*", operator.mul)
divide = _numeric("/", operator.truediv)
quotient = _whole("div", _quotient)
remainder = _whole("mod", lambda left, right: left - right * _quotient(left, right))


def negative(value: Any) -> Any:
    """`-value`; NULL of NULL."""
    return subtract(0, value) if value.__class__ is not float else -value
