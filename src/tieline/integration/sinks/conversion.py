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
from collections.abc import Callable, Sequence
from typing import Any, Final

from tieline.integration.rules.template import Path, lookup
from tieline.integration.rules.values import UNDEFINED, as_text, kind, to_json

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
    return to_json(value)


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


def row_converter(
    type_names: Sequence[str], paths: Sequence[Path], undefined: bool = False
) -> Callable[[Sequence[dict[str, Any]]], list[tuple[Any, ...]]]:
    """The function that makes rows of parameters from outputs; raises Misfit.

    Generated, so that a value that fits as it is costs one comparison. With `undefined` a NULL for a text parameter is
    the text `undefined`.
    """
    names: dict[str, Any] = {"lookup": lookup}
    reads, parts = [], []
    for place, (type_name, path) in enumerate(zip(type_names, paths, strict=True)):
        convert, ready = _conversion(type_name)
        names[f"c{place}"] = convert
        reads.append(
            f"        v{place} = o[{path[0]!r}]" if len(path) == 1 else f"        v{place} = lookup(o, {path!r})"
        )
        missing = repr(UNDEFINED if undefined and convert is text else None)
        fits = ready.format(v=f"v{place}")
        parts.append(f"v{place} if {fits} else {missing} if v{place} is None else c{place}(v{place}), ")
    row = f"        rows.append(({''.join(parts)}))"
    lines = ["def convert(outputs):", "    rows = []", "    for o in outputs:", *reads, row, "    return rows"]
    exec("\n".join(lines), names)
    converter: Callable[[Sequence[dict[str, Any]]], list[tuple[Any, ...]]] = names["convert"]
    return converter


def _conversion(type_name: str) -> tuple[Convert, str]:
    """The conversion for a type, and the test, as source, that a value `{v}` needs none."""
    convert, ready = TYPES.get(type_name.removesuffix("[]"), (text, None))
    if type_name.endswith("[]"):
        return array_of(convert), "False"
    if convert is text:
        return text, "{v}.__class__ is str and '\\0' not in {v}"
    if type_name in ("int2", "int4", "int8"):
        limit = 1 << (int(type_name[3]) * 8 - 1)
        return convert, f"{{v}}.__class__ is int and {-limit} <= {{v}} < {limit}"
    return convert, f"{{v}}.__class__ is {ready.__name__}" if ready else "False"
