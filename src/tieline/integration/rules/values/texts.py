"""The texts of values, and the numbers of texts, as EMQX's functions and operators have them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from tieline.integration.rules.values.bounds import SMALL, spend
from tieline.integration.rules.values.errors import RuleFailure
from tieline.integration.rules.values.values import MISSING, UNDEFINED, bounded, sum_of, to_json

#: What Erlang reads as a whole number and as a fraction (`binary_to_integer`, `binary_to_float`, whose point may be a
#: comma): https://www.erlang.org/doc/apps/erts/erlang.html#binary_to_float/1
_WHOLE: Final = re.compile(r"[+-]?[0-9]+")
_FRACTION: Final = re.compile(r"[+-]?[0-9]+[.,][0-9]+([eE][+-]?[0-9]+)?")
_DECIMALS: Final = 10  # of a fraction as a text: `float_to_binary(X, [{decimals, 10}, compact])` in emqx_utils_conv.erl


FEW: Final = 8  # texts that are put in a row before their length is counted


def number_of(written: str | bytes) -> int | float:
    """The number that a text is, nothing before or behind it; raises RuleFailure."""
    text = written.decode("latin-1") if isinstance(written, bytes) else written
    try:
        if _WHOLE.fullmatch(text):
            return int(bounded(int(text)))
        if _FRACTION.fullmatch(text):
            return float(bounded(float(text.replace(",", "."))))
    except ValueError:  # more digits than Python reads
        raise RuleFailure(f"a number of {len(text)} digits is too large") from None
    raise RuleFailure(f"the text {shortened(text)} is no number")


def shortened(text: str) -> str:
    """A text in a message about it."""
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}…"


def decimal(value: float, places: int) -> str:
    """A fraction with at most so many decimal places, and at least one."""
    written = f"{value:.{places}f}"
    if "." not in written:
        return written
    written = written.rstrip("0")
    return f"{written}0" if written[-1] == "." else written


def written(value: Any) -> str | bytes:
    """A value as `str`, `concat` and `+` write it: fractions with ten decimal places, arrays and maps as JSON."""
    kind = value.__class__
    if kind is str or isinstance(value, bytes):
        return value  # type: ignore[no-any-return]
    if kind is float:
        return decimal(value, _DECIMALS)
    if kind is int:
        return str(value)
    return UNDEFINED if value is MISSING else to_json(value)


def joined(values: Iterable[Any], separator: str | bytes = "") -> str | bytes:
    """Values as texts in a row; bytes where one of them is bytes."""
    parts = [written(value) for value in values]
    if isinstance(separator, str) and not any(isinstance(part, bytes) for part in parts):
        if len(parts) > FEW:
            spend(sum(map(len, parts)) + len(separator) * len(parts))
            return separator.join(parts)  # type: ignore[arg-type]
        made = separator.join(parts)  # type: ignore[arg-type]
        if len(made) > SMALL:
            spend(len(made))
        return made
    spend(sum(map(len, parts)) + len(separator) * len(parts))
    octets = [part.encode() if isinstance(part, str) else part for part in parts]
    return (separator.encode() if isinstance(separator, str) else separator).join(octets)


def add(left: Any, right: Any) -> Any:
    """The sum of two numbers, or a text and anything else in a row."""
    a, b = left.__class__, right.__class__
    if a is str and b is str:
        if len(left) + len(right) > SMALL:
            spend(len(left) + len(right))
        return left + right
    if (a is str or b is str) and left is not None and right is not None:
        return joined((left, right))
    if isinstance(left, bytes) or isinstance(right, bytes):
        return None if left is None or right is None else joined((left, right))
    return sum_of(left, right)


def in_turn(first: Any, rest: tuple[tuple[Callable[[Any, Any], Any], Any], ...]) -> Any:
    """The result of one operation after the other, each with what the one before gave."""
    for operate, right in rest:
        first = operate(first, right)
    return first


def rounded(value: int | float) -> int:
    """The nearest whole number, halves away from zero, without a digit lost."""
    if isinstance(value, int):
        return value
    whole = math.trunc(value)
    return whole + (1 if value > 0 else -1) if abs(value - whole) >= 0.5 else whole
