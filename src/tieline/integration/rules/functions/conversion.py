"""What a value is, and turning it into another kind."""

from __future__ import annotations

from typing import Any

import orjson

from tieline.integration.rules.errors import RuleFailure
from tieline.integration.rules.functions.registry import function, number, whole
from tieline.integration.rules.values import as_text, kind

TYPES = "Types"
GROUP = "Conversion"


@function(TYPES, ("is_null(payload.missing)", "true"), ("is_null(0)", "false"))
def is_null(x: Any) -> bool:
    """Whether the value is NULL or missing."""
    return x is None


@function(TYPES, ("is_not_null(1)", "true"))
def is_not_null(x: Any) -> bool:
    """Whether there is a value."""
    return x is not None


@function(TYPES, ("is_null_var(payload.missing)", "true"))
def is_null_var(x: Any) -> bool:
    """The same as `is_null`."""
    return x is None


@function(TYPES, ("is_not_null_var(1)", "true"))
def is_not_null_var(x: Any) -> bool:
    """The same as `is_not_null`."""
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
    """Whether an array or a map holds nothing."""
    if not isinstance(x, (list, dict)):
        raise RuleFailure(f"an array or a map is needed, not {kind(x)}")
    return not x


@function(GROUP, ("str(1234)", "'1234'"), ("str(true)", "'true'"), name="str")
def to_str(x: Any) -> str:
    """The value as a text; arrays and maps as JSON."""
    if x is None:
        raise RuleFailure("a value is needed, not NULL")
    return as_text(x)


@function(GROUP, ("str_utf8(1234)", "'1234'"))
def str_utf8(x: Any) -> str:
    """The same as `str`: every text is UTF-8."""
    return to_str(x)


@function(GROUP, ("bool('true')", "true"), ("bool(1)", "true"), ("bool(0)", "false"), name="bool")
def to_bool(x: Any) -> bool:
    """A boolean of true, false, 'true', 'false', 1 or 0."""
    for meaning, forms in ((True, ("true", 1)), (False, ("false", 0))):
        if x in forms:
            return meaning
    raise RuleFailure(f"true, false, 'true', 'false', 1 or 0 is needed, not {x!r}")


@function(GROUP, ("int('1234')", "1234"), ("int(3.99)", "3"), ("int(true)", "1"), name="int")
def to_int(x: Any) -> int:
    """A whole number of a text, a number (its fraction is cut off) or a boolean."""
    if isinstance(x, (bool, int)):
        return int(x)
    try:
        return int(x) if isinstance(x, str) and "." not in x and "e" not in x.lower() else int(float(x))
    except (TypeError, ValueError, OverflowError):
        raise RuleFailure(f"{x!r} is no number" if isinstance(x, str) else f"{kind(x)} is no number") from None


@function(GROUP, ("float('3.14')", "3.14"), ("float(2)", "2.0"), ("float(3.14159, 2)", "3.14"), name="float")
def to_float(x: Any, places: Any = None) -> float:
    """A number with a fraction, rounded to so many decimal places where they are given."""
    try:
        value = float(x)
    except (TypeError, ValueError):
        raise RuleFailure(f"{x!r} is no number" if isinstance(x, str) else f"{kind(x)} is no number") from None
    return value if places is None else round(value, whole(places))


@function(GROUP, ("float2str(20.2, 10)", "'20.2'"), ("float2str(20.2, 17)", "'20.19999999999999929'"))
def float2str(x: Any, places: Any) -> str:
    """A number as a text with at most so many decimal places, without zeros at the end."""
    if not 0 <= whole(places) <= 253:
        raise RuleFailure(f"0 to 253 decimal places, not {places}")
    written = f"{number(x):.{places}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


@function(GROUP, ("map('{\"a\":1}')", "json_decode('{\"a\":1}')"), name="map")
def to_map(x: Any) -> dict[str, Any]:
    """A map of a JSON text, or the map that it is."""
    value = orjson.loads(x) if isinstance(x, (str, bytes)) else x
    if not isinstance(value, dict):
        raise RuleFailure(f"a map or its JSON is needed, not {kind(value)}")
    return value


@function(GROUP, ("coalesce(payload.missing, 2, 3)", "2"))
def coalesce(*candidates: Any) -> Any:
    """The first of the values that is not NULL; one array stands for its elements."""
    if len(candidates) == 1 and isinstance(candidates[0], list):
        candidates = tuple(candidates[0])
    return next((value for value in candidates if value is not None), None)


@function(GROUP, ("coalesce_ne('', 'b')", "'b'"))
def coalesce_ne(*candidates: Any) -> Any:
    """The first of the values that is neither NULL nor the empty text; one array stands for its elements."""
    if len(candidates) == 1 and isinstance(candidates[0], list):
        candidates = tuple(candidates[0])
    return next((value for value in candidates if value is not None and value != ""), None)
