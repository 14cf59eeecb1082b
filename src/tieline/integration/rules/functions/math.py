"""Functions on numbers."""

from __future__ import annotations

import math
import random as randomness
from collections.abc import Callable
from typing import Any

from tieline.integration.rules.registry import LIBRARY, Example, Function, function, number, whole
from tieline.integration.rules.values import comparison, texts, values
from tieline.integration.rules.values.errors import RuleFailure

GROUP = "Mathematics"

#: Functions of one number that mathematics names: the standard library's function, an argument and the result.
_PLAIN = {
    "cos": ("The cosine of an angle in radians.", math.cos, "cos(0)", "1.0"),
    "cosh": ("The hyperbolic cosine.", math.cosh, "cosh(0)", "1.0"),
    "acos": ("The angle in radians whose cosine it is.", math.acos, "acos(1)", "0.0"),
    "acosh": ("The inverse of the hyperbolic cosine.", math.acosh, "acosh(1)", "0.0"),
    "sin": ("The sine of an angle in radians.", math.sin, "sin(0)", "0.0"),
    "sinh": ("The hyperbolic sine.", math.sinh, "sinh(0)", "0.0"),
    "asin": ("The angle in radians whose sine it is.", math.asin, "asin(0)", "0.0"),
    "asinh": ("The inverse of the hyperbolic sine.", math.asinh, "asinh(0)", "0.0"),
    "tan": ("The tangent of an angle in radians.", math.tan, "tan(0)", "0.0"),
    "tanh": ("The hyperbolic tangent.", math.tanh, "tanh(0)", "0.0"),
    "atan": ("The angle in radians whose tangent it is.", math.atan, "atan(0)", "0.0"),
    "atanh": ("The inverse of the hyperbolic tangent.", math.atanh, "atanh(0)", "0.0"),
    "ceil": ("The least whole number that is not below it.", math.ceil, "ceil(1.34)", "2"),
    "floor": ("The greatest whole number that is not above it.", math.floor, "floor(1.34)", "1"),
    "exp": ("e to the power of it.", math.exp, "exp(0)", "1.0"),
    "sqrt": ("The square root.", math.sqrt, "sqrt(16)", "4.0"),
    "log": ("The natural logarithm.", math.log, "log(1)", "0.0"),
    "log10": ("The logarithm to base 10.", math.log10, "log10(1000)", "3.0"),
    "log2": ("The logarithm to base 2.", math.log2, "log2(1024)", "10.0"),
}


def _declare_plain() -> None:
    for name, (doc, calculate, call, result) in _PLAIN.items():

        def run(x: Any, calculate: Any = calculate) -> Any:
            return _calculated(calculate, number(x))

        run.__code__ = run.__code__.replace(co_name=name)  # its own, by which an error names the function
        LIBRARY[name] = Function(name, GROUP, doc, run, 1, 1, (Example(call, result),))


def _calculated(calculate: Callable[..., Any], *numbers: Any) -> Any:
    """The value of a function of numbers; raises RuleFailure where there is none."""
    shown = " and ".join(str(one) if len(str(one)) <= 40 else f"a number of {len(str(one))} digits" for one in numbers)
    try:
        return values.bounded(calculate(*numbers))
    except ValueError:
        raise RuleFailure(f"it has no value for {shown}") from None
    except OverflowError:
        raise RuleFailure(f"it is too large for {shown}") from None


_declare_plain()


@function(GROUP, ("abs(-12)", "12"), name="abs")
def absolute(x: Any) -> Any:
    """The number without its sign."""
    return abs(number(x))


@function(
    GROUP, ("round(1.5)", "2"), ("round(-1.5)", "-2"), ("round(9007199254740993)", "9007199254740993"), name="round"
)
def rounded(x: Any) -> int:
    """The nearest whole number, halves away from zero."""
    return texts.rounded(number(x))


@function(GROUP, ("power(2, 10)", "1024.0"))
def power(x: Any, y: Any) -> float:
    """`x` to the power of `y`."""
    return float(_calculated(math.pow, number(x), number(y)))


@function(GROUP, ("fmod(-32, 5)", "-2.0"))
def fmod(x: Any, y: Any) -> float:
    """The remainder of a division, with the sign of the dividend."""
    return float(_calculated(math.fmod, number(x), number(y)))


@function(GROUP, ("mod(7, 3)", "1"), ("mod(-7, 3)", "-1"))
def mod(x: Any, y: Any) -> Any:
    """The remainder of a division of whole numbers, with the sign of the dividend."""
    return values.remainder(whole(x), whole(y))


@function(GROUP, ("div(7, 2)", "3"), ("div(-7, 2)", "-3"))
def div(x: Any, y: Any) -> Any:
    """The quotient of whole numbers, rounded towards zero."""
    return values.quotient(whole(x), whole(y))


@function(GROUP, ("eq(1, 1.0)", "true"), ("eq('a', 1)", "false"))
def eq(x: Any, y: Any) -> bool:
    """Whether two values are equal without any conversion: a text is no number, and NULL is NULL."""
    return comparison.same(x, y)


@function(GROUP, ("random() >= 0", "true"))
def random() -> float:
    """A number from 0 up to, but not including, 1. Not for secrets."""
    return randomness.random()


def _shifted(x: int, places: int) -> int:
    """To the left by so many places, to the right where they are negative."""
    if places < 0:
        return x >> -places
    if x and places + x.bit_length() > values.MAX_BITS:
        raise RuleFailure(f"a whole number of more than {values.MAX_BITS} bits")
    return x << places if x else 0


@function(GROUP, ("bitnot(0)", "-1"))
def bitnot(x: Any) -> int:
    """Each bit turned over."""
    return ~whole(x)


@function(GROUP, ("bitand(12, 10)", "8"))
def bitand(x: Any, y: Any) -> int:
    """The bits that both have."""
    return whole(x) & whole(y)


@function(GROUP, ("bitor(12, 10)", "14"))
def bitor(x: Any, y: Any) -> int:
    """The bits that either has."""
    return whole(x) | whole(y)


@function(GROUP, ("bitxor(12, 10)", "6"))
def bitxor(x: Any, y: Any) -> int:
    """The bits that exactly one has."""
    return whole(x) ^ whole(y)


@function(GROUP, ("bitsl(1, 4)", "16"), ("bitsl(16, -4)", "1"))
def bitsl(x: Any, places: Any) -> int:
    """Shifted to the left; to the right by a negative number."""
    return _shifted(whole(x), whole(places))


@function(GROUP, ("bitsr(16, 4)", "1"), ("bitsr(1, -4)", "16"))
def bitsr(x: Any, places: Any) -> int:
    """Shifted to the right; to the left by a negative number."""
    return _shifted(whole(x), -whole(places))
