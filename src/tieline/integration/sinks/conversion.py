"""Values of rules as the types of SQL parameters want them, by the rules of the table below.

| parameter | taken | refused |
|---|---|---|
| text and its kin | texts; everything else as its JSON text | texts with a NUL character |
| whole numbers | whole numbers, numbers without a fraction, their texts, booleans as 1 and 0 | fractions, others |
| floating point, numeric | numbers, their texts, booleans as 1 and 0 | others |
| boolean | booleans, 1 and 0, 'true' and 'false' | others |
| date and time | ISO 8601 texts; numbers as Unix time in milliseconds | others |
| json, jsonb | everything, as JSON | |
| bytea | bytes, texts as UTF-8 | others |
| uuid | texts of a UUID | others |
| arrays | arrays whose elements fit | others |

NULL is NULL everywhere. Other types take texts as PostgreSQL reads them.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable
from typing import Any, Final

import orjson

from tieline.integration.rules.values import as_text, kind

Convert = Callable[[Any], Any]
UTC: Final = datetime.UTC


class Misfit(ValueError):
    """A value that a parameter cannot take."""


def _misfit(value: Any, wanted: str) -> Misfit:
    shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:77]}…"
    return Misfit(f"{kind(value)} ({shown}) is no {wanted}")


def text(value: Any) -> str:
    """Any value as a text; PostgreSQL has no NUL in texts."""
    written = as_text(value)
    if "\0" in written:
        raise Misfit("a text with a NUL character, which PostgreSQL cannot keep")
    return written


def whole(bits: int) -> Convert:
    """Whole numbers of so many bits."""
    limit = 1 << (bits - 1)

    def convert(value: Any) -> int:
        try:
            number = int(value) if isinstance(value, (int, str)) else value
        except ValueError:
            number = floating(value)
        if isinstance(number, float) and number.is_integer():
            number = int(number)
        if not isinstance(number, int) or not -limit <= number < limit:
            raise _misfit(value, f"whole number of {bits} bits")
        return number

    return convert


def floating(value: Any) -> float:
    """Numbers with a fraction."""
    if not isinstance(value, (int, float, str)):
        raise _misfit(value, "number")
    try:
        return float(value)
    except (ValueError, OverflowError):
        raise _misfit(value, "number") from None


def numeric(value: Any) -> decimal.Decimal:
    """Numbers of any precision, in the digits in which they are written."""
    if not isinstance(value, (int, float, str)):
        raise _misfit(value, "number")
    try:
        return decimal.Decimal(str(int(value) if isinstance(value, bool) else value))
    except decimal.InvalidOperation:
        raise _misfit(value, "number") from None


def boolean(value: Any) -> bool:
    """Booleans."""
    for meaning, forms in ((True, (True, "true")), (False, (False, "false"))):
        if value in forms:
            return meaning
    raise _misfit(value, "boolean")


def _moment(value: Any) -> datetime.datetime:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _misfit(value, "time")
    try:
        if isinstance(value, str):
            return datetime.datetime.fromisoformat(value)
        return datetime.datetime.fromtimestamp(0, UTC) + datetime.timedelta(milliseconds=value)
    except (ValueError, OverflowError):
        raise _misfit(value, "time") from None


def timestamptz(value: Any) -> datetime.datetime:
    """A moment; a text without an offset is UTC."""
    moment = _moment(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def timestamp(value: Any) -> datetime.datetime:
    """A date and time without an offset: that of UTC, where the value has one."""
    moment = _moment(value)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def date(value: Any) -> datetime.date:
    """A date."""
    return timestamp(value).date()


def json(value: Any) -> str:
    """Any value as JSON."""
    return orjson.dumps(as_text(value) if isinstance(value, bytes) else value).decode()


def binary(value: Any) -> bytes:
    """Bytes."""
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, bytes):
        raise _misfit(value, "bytes")
    return value


def identifier(value: Any) -> uuid.UUID:
    """A UUID."""
    try:
        return uuid.UUID(value)
    except (AttributeError, TypeError, ValueError):
        raise _misfit(value, "UUID") from None


#: By PostgreSQL's type name: the conversion, and the Python type that needs none.
TYPES: Final[dict[str, tuple[Convert, type | None]]] = {
    **dict.fromkeys(("text", "varchar", "bpchar", "name"), (text, None)),
    "int2": (whole(16), None),
    "int4": (whole(32), None),
    "int8": (whole(64), None),
    **dict.fromkeys(("float4", "float8"), (floating, float)),
    "numeric": (numeric, None),
    "bool": (boolean, bool),
    "timestamptz": (timestamptz, None),
    "timestamp": (timestamp, None),
    "date": (date, None),
    **dict.fromkeys(("json", "jsonb"), (json, None)),
    "bytea": (binary, bytes),
    "uuid": (identifier, None),
}


def array_of(convert: Convert) -> Convert:
    """Arrays whose elements fit."""

    def converted(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _misfit(value, "array")
        return [None if item is None else convert(item) for item in value]

    return converted


def known(type_name: str) -> bool:
    """Whether the table above has this type, or arrays of it."""
    return type_name.removesuffix("[]") in TYPES


def row_converter(type_names: tuple[str, ...], undefined: bool = False) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """The function that turns a row of values into a row of parameters; raises Misfit.

    Generated, so that a value that fits as it is costs one comparison. With `undefined` a NULL for a text parameter is
    the text `undefined`.
    """
    names: dict[str, Any] = {"undefined": "undefined"}
    parts = []
    for place, type_name in enumerate(type_names):
        convert, ready = TYPES.get(type_name.removesuffix("[]"), (text, None))
        names[f"c{place}"] = array_of(convert) if type_name.endswith("[]") else convert
        missing = "undefined" if undefined and convert is text and not type_name.endswith("[]") else "None"
        as_is = f"v{place}.__class__ is {ready.__name__}" if ready and not type_name.endswith("[]") else "False"
        if convert is text and not type_name.endswith("[]"):
            as_is = f"v{place}.__class__ is str and '\\0' not in v{place}"
        elif type_name in ("int2", "int4", "int8"):
            limit = 1 << (int(type_name[3]) * 8 - 1)
            as_is = f"v{place}.__class__ is int and {-limit} <= v{place} < {limit}"
        parts.append(f"v{place} if {as_is} else {missing} if v{place} is None else c{place}(v{place}), ")
    variables = "".join(f"v{place}, " for place in range(len(type_names)))
    lines = [
        "def convert(row):",
        f"    {variables or '()'} = row".replace(",  =", ", ="),
        f"    return ({''.join(parts)})",
    ]
    exec("\n".join(lines), names)
    converter: Callable[[tuple[Any, ...]], tuple[Any, ...]] = names["convert"]
    return converter
