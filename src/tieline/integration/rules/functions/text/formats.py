"""Formats with values in them, as Erlang's `io_lib:format` writes them.

https://www.erlang.org/doc/apps/stdlib/io.html#fwrite/3 names the parts of `~F.P.PadModC`: a field's width, a precision,
the character that fills it up, a modifier that means nothing here, and what is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from tieline.integration.rules.registry import function, number, text, whole
from tieline.integration.rules.values.bounds import spend
from tieline.integration.rules.values.errors import RuleFailure, Unfit
from tieline.integration.rules.values.texts import written

GROUP: Final = "Text"
MAX_WIDTH: Final = 10_000  # of a field, and of a precision
_PART: Final = re.compile(
    r"~(?P<width>-?[0-9]+|\*)?(?:\.(?P<precision>[0-9]+|\*)?)?(?:\.(?P<pad>.))?[tlkK]*(?P<kind>.)", re.S
)
_WITHOUT_VALUE: Final = {"n": "\n", "~": "~"}
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class _NoneLeft(Unfit):
    """A format with more places than there are values."""


@function(
    GROUP,
    ("sprintf_s('hello, ~s: ~p of ~.2f', 'steve', 3, 2.5)", "'hello, steve: 3 of 2.50'"),
    ("sprintf_s('~5s|~.16B|~3..0b', ['ab', 255, 7])", "'   ab|FF|007'"),
    telling=True,
)
def sprintf_s(format: Any, *values: Any) -> str:
    """A text with values in it, which may be one array: `~s`, `~p` and `~w` any value, `~b`, `~B`, `~x`, `~#` a whole
    number, `~f`, `~e`, `~g` any number, `~c` a character, `~n` a line end, `~~` a tilde; a width, a precision and a
    filling character as in `~10.2.0f`.
    """
    given = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    waiting = list(reversed(given))
    fault = RuleFailure if given is not values else Unfit  # one array may be shorter or longer in another message

    def fill(part: re.Match[str]) -> str:
        if part["kind"] in _WITHOUT_VALUE:
            shown = _WITHOUT_VALUE[part["kind"]] * _size(part["width"], waiting, 1)
        else:
            shown = _field(part, waiting)
        spend(len(shown))
        return shown

    try:
        found = _PART.sub(fill, _checked(text(format)))
    except _NoneLeft as error:
        raise fault(str(error)) from None
    if waiting:
        raise fault(f"{len(waiting)} more values than the format has places")
    return found


@function(GROUP, ("sprintf('count: ~p', 100)", "'count: 100'"), telling=True)
def sprintf(format: Any, *values: Any) -> str:
    """The same as `sprintf_s`."""
    return sprintf_s(format, *values)


def _checked(format: str) -> str:
    """Refuse what `_PART` would leave as it is: a tilde at the end."""
    if "~" in _PART.sub("", format):
        raise Unfit(f"the format {format!r} ends within a ~")
    return format


def _next(waiting: list[Any], part: str) -> Any:
    if not waiting:
        raise _NoneLeft(f"no value is left for {part}")
    return waiting.pop()


def _size(given: str | None, waiting: list[Any], default: int) -> int:
    """A width or a precision; `*` takes it from the values."""
    size = default if given is None else whole(_next(waiting, "*")) if given == "*" else int(given[:9])
    if abs(size) > MAX_WIDTH:
        raise RuleFailure(f"a field is at most {MAX_WIDTH} characters wide, not {size}")
    return size


def _field(part: re.Match[str], waiting: list[Any]) -> str:
    """One value as its part of the format writes it, in its field."""
    kind, pad = part["kind"], part["pad"] or " "
    width = _size(part["width"], waiting, 0)
    precision = _size(part["precision"], waiting, -1)
    write = _KINDS.get(kind)
    if write is None:
        raise Unfit(f"{part[0]} is no part of a format")
    value = _next(waiting, part[0])
    prefix = _next(waiting, part[0]) if kind in "xX" else ""
    if kind == "c" and precision < 0:
        precision = abs(width)
    shown = write(value, precision) if kind not in "xX" else _prefixed(value, precision, text(prefix))
    if kind == "s" and precision >= 0:
        shown = shown[:precision].ljust(precision, pad)
    if width and len(shown) > abs(width):
        return shown[: abs(width)] if kind == "s" else "*" * abs(width)
    return shown.ljust(-width, pad) if width < 0 else shown.rjust(width, pad)


def _any(value: Any, _precision: int) -> str:
    """Any value as its text, whatever the precision."""
    shown = written(value)
    if isinstance(shown, bytes):
        try:
            shown = shown.decode()
        except UnicodeDecodeError:
            raise RuleFailure("these bytes are no text") from None
    return shown


def _passed_over(_value: Any, _precision: int) -> str:
    return ""


def _based(value: Any, precision: int) -> str:
    """A whole number to a base, which the precision names."""
    base, rest = precision if precision >= 0 else 10, abs(whole(value))
    if not 2 <= base <= len(_DIGITS):
        raise RuleFailure(f"a base is from 2 to {len(_DIGITS)}, not {base}")
    if base == 10:
        return str(value)
    digits = "" if rest else "0"
    while rest:
        rest, digit = divmod(rest, base)
        digits = _DIGITS[digit] + digits
    return f"-{digits}" if value < 0 else digits


def _prefixed(value: Any, precision: int, prefix: str) -> str:
    shown = _based(value, precision)
    return f"-{prefix}{shown[1:]}" if shown[0] == "-" else prefix + shown


def _with_base(value: Any, precision: int) -> str:
    return _prefixed(value, precision, f"{precision if precision >= 0 else 10}#")


def _fixed(value: Any, precision: int) -> str:
    return f"{_fraction(value):.{6 if precision < 0 else precision}f}"


def _scientific(value: Any, precision: int) -> str:
    """So many digits in all, and an exponent without zeros before it: `1.25000e+1`."""
    mantissa, exponent = f"{_fraction(value):.{(6 if precision < 0 else max(precision, 2)) - 1}e}".split("e")
    return f"{mantissa}e{exponent[0]}{exponent[1:].lstrip('0') or '0'}"


def _general(value: Any, precision: int) -> str:
    """`~f` from 0.1 up to 10,000, else `~e`; so many digits in all."""
    size, digits = abs(_fraction(value)), 6 if precision < 0 else precision
    before = next((place for place, bound in enumerate((1, 10, 100, 1000, 10_000)) if size < bound), 5)
    if size < 0.1 or before == 5 or digits - before < 1:
        return _scientific(value, digits)
    return f"{_fraction(value):.{digits - before}f}"


def _fraction(value: Any) -> float:
    try:
        return float(number(value))
    except OverflowError:
        raise RuleFailure("this number is too large for a fraction") from None


def _character(value: Any, precision: int) -> str:
    code = whole(value)
    if not 0 <= code < 0x110000 or 0xD800 <= code < 0xE000:
        raise RuleFailure(f"{code} is no character")
    return chr(code) * max(precision, 1)


_KINDS: Final[dict[str, Callable[[Any, int], str]]] = {
    **dict.fromkeys("spwPW", _any),
    "i": _passed_over,
    "c": _character,
    "f": _fixed,
    "e": _scientific,
    "g": _general,
    "b": _based,
    "B": lambda value, precision: _based(value, precision).upper(),
    "x": _based,
    "X": _based,
    "#": lambda value, precision: _with_base(value, precision).upper(),
    "+": _with_base,
}
