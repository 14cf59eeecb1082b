"""What operators and paths do to values while a rule runs.

Values are JSON's, and bytes. NULL is None, and stands for what is missing as well. Comparisons have two answers:
with NULL, or between kinds that do not compare (a number and a text), every comparison is false. Arithmetic with
NULL is NULL.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable
from typing import Any, Final

import orjson

from tieline.integration.rules.errors import RuleFailure
from tieline.integration.topics import filter_fault, matches

NUMBERS: Final = frozenset({int, float})
_KINDS: Final[dict[type, str]] = {int: "a number", float: "a number", str: "a text", bool: "a boolean", bytes: "bytes"}
_OTHER_KINDS: Final[dict[type, str]] = {list: "an array", dict: "a map", type(None): "NULL"}
MAX_BITS: Final = 4096  # of a whole number; beyond this it is a mistake that would only grow


def kind(value: Any) -> str:
    """What a value is, in words."""
    return {**_KINDS, **_OTHER_KINDS}.get(type(value), type(value).__name__)


# Texts

UNDEFINED: Final = "undefined"  # what a missing value is in a text, as in EMQX


def as_text(value: Any, undefined: str = UNDEFINED) -> str:
    """A value inside a text: texts as they are, everything else as JSON."""
    if value is None:
        return undefined
    if isinstance(value, str):
        return value
    return value.decode("latin-1") if isinstance(value, bytes) else to_json(value)


def to_json(value: Any) -> str:
    """A value as JSON. Bytes inside it are texts of Latin-1 characters, byte for byte, so that they can be had back."""
    try:
        return orjson.dumps(value, default=_latin).decode()
    except orjson.JSONEncodeError:  # a whole number of more than 64 bits
        return json.dumps(value, default=_latin, ensure_ascii=False, separators=(",", ":"))


def _latin(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    raise TypeError(f"{type(value).__name__} has no JSON")


# Paths


def get(container: Any, key: str) -> Any:
    """The value under a key; a text that holds JSON is looked into; NULL where there is none."""
    if isinstance(container, (str, bytes)):
        try:
            container = orjson.loads(container)
        except orjson.JSONDecodeError:
            return None
    if isinstance(container, dict):
        return container.get(key)
    return None


def element(array: Any, index: Any) -> Any:
    """The element at an index from 1, from the end where negative, 0 being the first; NULL where there is none."""
    if isinstance(array, dict):
        return array.get(str(index))
    if not isinstance(array, list) or type(index) is not int:
        return None
    place = index - 1 if index > 0 else index
    return array[place] if -len(array) <= place < len(array) else None


def elements(array: Any, first: int, last: int) -> Any:
    """The elements from the first to the last index, both included; NULL where it is no array."""
    if not isinstance(array, list):
        return None
    begin, end = (i - 1 if i > 0 else max(len(array) + i, 0) if i < 0 else 0 for i in (first, last))
    return array[begin : end + 1]


# Comparisons


def _comparable(left: Any, right: Any) -> bool:
    a, b = left.__class__, right.__class__
    return (a is b and a in _KINDS) or (a in NUMBERS and b in NUMBERS)


def _ordering(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def ordered(left: Any, right: Any) -> bool:
        return _comparable(left, right) and compare(left, right)

    return ordered


less = _ordering(operator.lt)
greater = _ordering(operator.gt)
at_most = _ordering(operator.le)
at_least = _ordering(operator.ge)


def equal(left: Any, right: Any) -> bool:
    """Same kind and same value, 1 and 1.0 being the same; arrays and maps element by element."""
    if _comparable(left, right):
        return bool(left == right)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    return False


def same(left: Any, right: Any) -> bool:
    """`equal` for the parts of arrays and maps, where NULL is NULL."""
    return (left is None and right is None) or equal(left, right)


def unequal(left: Any, right: Any) -> bool:
    """Same kind and different values."""
    alike = _comparable(left, right) or (type(left) is type(right) and type(left) in (list, dict))
    return alike and not equal(left, right)


def topic_matches(topic: Any, filter: Any) -> bool:
    """`topic =~ filter`; false where either is no text."""
    if not isinstance(topic, str) or not isinstance(filter, str) or filter_fault(filter):
        return False
    return matches(filter, topic)


def one_of(needle: Any, candidates: tuple[Any, ...]) -> bool:
    """`needle in (…)`."""
    return any(equal(needle, candidate) for candidate in candidates)


# Arithmetic


def _failure(sign: str, left: Any, right: Any) -> RuleFailure:
    return RuleFailure(f"{kind(left)} {sign} {kind(right)} has no meaning")


def _bounded(value: Any) -> Any:
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
            return _bounded(calculate(left, right))
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


_sum = _numeric("+", operator.add)
subtract = _numeric("-", operator.sub)
multiply = _numeric("*", operator.mul)
divide = _numeric("/", operator.truediv)
quotient = _whole("div", _quotient)
remainder = _whole("mod", lambda left, right: left - right * _quotient(left, right))


def add(left: Any, right: Any) -> Any:
    """The sum of two numbers, or two texts in a row."""
    if left.__class__ is str and right.__class__ is str:
        return left + right
    return _sum(left, right)


def negative(value: Any) -> Any:
    """`-value`; NULL of NULL."""
    return subtract(0, value) if value.__class__ is not float else -value
