"""What a value is, and turning it into another kind."""

from __future__ import annotations

import math
from typing import Any, Final

from tieline.integration.rules.registry import function, number, readable, whole
from tieline.integration.rules.values import values
from tieline.integration.rules.values.errors import RuleFailure, Unfit
from tieline.integration.rules.values.texts import decimal, number_of, written
from tieline.integration.rules.values.values import kind

TYPES: Final = "Types"
GROUP: Final = "Conversion"
MAX_PLACES: Final = 253  # decimal places: https://www.erlang.org/doc/apps/erts/erlang.html#float_to_binary/2


@function(TYPES, ("is_null(payload.missing)", "true"), ("is_null(0)", "false"), telling=True)
def is_null(x: Any) -> bool:
    """Whether the value is missing. JSON's null is not: `is_null_var` takes both."""
    return x is values.MISSING


@function(TYPES, ("is_not_null(1)", "true"), telling=True)
def is_not_null(x: Any) -> bool:
    """Whether the value is there, be it JSON's null: `is_not_null_var` wants more than null."""
    return x is not values.MISSING


@function(TYPES, ("is_null_var(payload.missing)", "true"))
def is_null_var(x: Any) -> bool:
    """Whether the value is missing or JSON's null."""
    return x is None


@function(TYPES, ("is_not_null_var(1)", "true"))
def is_not_null_var(x: Any) -> bool:
    """Whether the value is there, and not JSON's null."""
    return x is not None


@function(TYPES, ("is_str('val')", "true"), ("is_str(1)", "false"))
def is_str(x: Any) -> bool:
    """Whether the value is a text."""
    return isinstance(x, str)


@function(TYPES, ("is_bool(true)", "true"))
def is_bool(x: Any) -> bool:
    """Whether the value is true or false."""
    return isinstance(x, bool)


@function(TYPES, ("is_int(1)", "true"), ("is_int(1.5)", "false"))
def is_int(x: Any) -> bool:
    """Whether the value is a whole number, written without a point."""
    return type(x) is int


@function(TYPES, ("is_float(1.234)", "true"), ("is_float(1)", "false"))
def is_float(x: Any) -> bool:
    """Whether the value is a number written with a point or an exponent."""
    return type(x) is float


@function(TYPES, ("is_num(2.3)", "true"), ("is_num('val')", "false"))
def is_num(x: Any) -> bool:
    """Whether the value is a number."""
    return type(x) in (int, float)


@function(TYPES, ("is_map(json_decode('{\"a\":1}'))", "true"))
def is_map(x: Any) -> bool:
    """Whether the value is a map."""
    return isinstance(x, dict)


@function(TYPES, ("is_array([1, 2])", "true"))
def is_array(x: Any) -> bool:
    """Whether the value is an array."""
    return isinstance(x, list)


@function(TYPES, ("is_empty([])", "true"), ("is_empty(json_decode('{\"a\":1}'))", "false"))
def is_empty(x: Any) -> bool:
    """Whether an array, a map, a JSON text of one, or a text holds nothing."""
    held = values.opened(x) if x != "" else []
    if not isinstance(held, (list, dict)):
        raise RuleFailure(f"an array, a map or JSON of one is needed, not {kind(x)}")
    return not held


@function(
    GROUP, ("str(1234)", "'1234'"), ("str(true)", "'true'"), ("str(0.0000001)", "'0.0000001'"), name="str", telling=True
)
def to_str(x: Any) -> str | bytes:
    """The value as a text: a fraction with at most ten decimal places, arrays and maps as JSON, JSON's null as `null`,
    what is missing as `undefined`.
    """
    return written(x)


@function(GROUP, ("str_utf8(1234)", "'1234'"), telling=True)
def str_utf8(x: Any) -> str | bytes:
    """The same as `str`: every text is UTF-8."""
    return to_str(x)


@function(GROUP, ("str_utf16_le('a') = hexstr2bin('6100')", "true"), telling=True)
def str_utf16_le(x: Any) -> str | bytes:
    """The value as a text in UTF-16, the low byte first: a text where its bytes are UTF-8, else bytes."""
    text = written(x)
    if isinstance(text, bytes):
        raise RuleFailure("these bytes are no text")
    return readable(text.encode("utf-16-le"))


@function(GROUP, ("bool('true')", "true"), ("bool(1)", "true"), ("bool(0)", "false"), name="bool")
def to_bool(x: Any) -> bool:
    """A boolean of true, false, 'true', 'false', 1 or 0."""
    for meaning, forms in ((True, ("true", 1)), (False, ("false", 0))):
        if x in forms:
            return meaning
    raise RuleFailure(f"true, false, 'true', 'false', 1 or 0 is needed, not {x!r}")


@function(
    GROUP,
    ("int('1234')", "1234"),
    ("int(3.99)", "3"),
    ("int(-1.5)", "-2"),
    ("int(true)", "1"),
    name="int",
)
def to_int(x: Any) -> int:
    """The whole number that is not above a number or the number in a text; 1 or 0 of a boolean."""
    value = number_of(x) if isinstance(x, str) else x
    if not isinstance(value, (bool, int, float)):
        raise RuleFailure(f"{kind(x)} is no number")
    return math.floor(value)


@function(GROUP, ("float('3.14')", "3.14"), ("float(2)", "2.0"), ("float(3.14159, 2)", "3.14"), name="float")
def to_float(x: Any, places: Any = None) -> float:
    """A number with a fraction, rounded to so many decimal places where they are given."""
    value = number_of(x) if isinstance(x, str) else number(x)
    try:
        value = float(value)
    except OverflowError:
        raise RuleFailure("this number is too large for a fraction") from None
    return value if places is None else float(f"{value:.{_places(places)}f}")


def _places(places: Any) -> int:
    if not 0 <= whole(places) <= MAX_PLACES:
        raise Unfit(f"0 to {MAX_PLACES} decimal places, not {places}")
    return int(places)


@function(GROUP, ("float2str(20.2, 10)", "'20.2'"), ("float2str(20.2, 17)", "'20.19999999999999929'"))
def float2str(x: Any, places: Any) -> str:
    """A number as a text with at most so many decimal places, without zeros at the end but the first."""
    _places(places)
    return decimal(number(x), places) if isinstance(x, float) else str(number(x))


@function(GROUP, ("map('{\"a\":1}')", "json_decode('{\"a\":1}')"), name="map")
def to_map(x: Any) -> dict[str, Any]:
    """A map of a JSON text, or the map that it is."""
    value = values.opened(x)
    if not isinstance(value, dict):
        raise RuleFailure(f"a map or its JSON is needed, not {kind(x)}")
    return value


def _first(given: tuple[Any, ...], *passed: Any) -> Any:
    """The first of the values, or of the elements of one array, that is none of these."""
    candidates = given[0] if len(given) == 1 and isinstance(given[0], list) else given
    found = next((value for value in candidates if value not in passed), values.MISSING)
    return [values.settle(value) for value in found] if isinstance(found, list) else found


@function(GROUP, ("coalesce(payload.missing, 2, 3)", "2"), telling=True, unsettled=True)
def coalesce(*candidates: Any) -> Any:
    """The first of the values that is not missing (JSON's null is there); one array stands for its elements."""
    return _first(candidates, values.MISSING)


@function(GROUP, ("coalesce_ne('', 'b')", "'b'"), telling=True, unsettled=True)
def coalesce_ne(*candidates: Any) -> Any:
    """The first of the values that is neither missing nor the empty text; one array stands for its elements."""
    return _first(candidates, values.MISSING, "")
