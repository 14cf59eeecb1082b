"""Values of rules as the types of SQL parameters want them, by the rules of the table below.

| parameter | taken | refused |
|---|---|---|
| text and its kin | texts; everything else as its JSON text | texts with a NUL character, bytes that are not UTF-8 |
| whole numbers | whole numbers, numbers without a fraction, their texts, booleans as 1 and 0 | fractions, others |
| floating point, numeric | numbers, their texts, booleans as 1 and 0 | numbers beyond the type's range, others |
| boolean | booleans, 1 and 0, 'true' and 'false' | others |
| date and time | ISO 8601 texts, of digits alone YYYYMMDD; numbers as Unix time in milliseconds | others |
| json, jsonb | texts that are a JSON document, as that document; everything else as JSON | |
| bytea | bytes, texts as UTF-8 | others |
| uuid | texts of a UUID | others |
| arrays | arrays whose elements fit | others |
| every other type | texts, in the form that PostgreSQL reads; everything else as its JSON text | |

NULL is NULL everywhere. For json and jsonb a text is a document where it is an object or an array; the whole payload,
`${payload}`, also where it is a number, a boolean, null or a text in quotes.
"""

from __future__ import annotations

import datetime
import decimal
import re
import struct
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from tieline.integration.rules.compile.template import Path, Unfit, exact_json, exact_text, lookup
from tieline.integration.rules.values.values import UNDEFINED, kind

Convert = Callable[[Any], Any]
UTC: Final = datetime.UTC
PAYLOAD: Final[Path] = ("payload",)
OTHER: Final = "other"  # any type that is not in the table below: it is sent as a text
#: Python's own readers also take `1_0`, `٣`, `nan` and `infinity`, which are no numbers to a database or to EMQX.
_NUMBER: Final = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", re.ASCII | re.IGNORECASE)
_NONZERO: Final = re.compile(r"[+\-\s0.]*[1-9]")
_INFINITY: Final = float("inf")
#: The digits of a numeric before and behind the point (PostgreSQL 15, table 8.2).
_BEFORE: Final = 131_072
_BEHIND: Final = 16_383
#: ISO 8601 as it is written with or without its signs. Python's own reader takes any sign before the hour, so that
#: 1710101000000, Unix time in milliseconds, is midnight of the 10th of October 1710 to it.
_ISO: Final = re.compile(r"(\d{4}-?\d\d-?\d\d|\d{4}-?W\d\d(-?\d)?)([T ]\d\d.*)?", re.ASCII | re.IGNORECASE)
_FRACTION: Final = re.compile(r"[.,]\d{6}(\d+)", re.ASCII)
_NAME_BYTES: Final = 63  # of a `name`: what is longer PostgreSQL cuts (NAMEDATALEN - 1)


class Misfit(ValueError):
    """A value that a parameter cannot take."""


def _misfit(value: Any, wanted: str) -> Misfit:
    shown = repr(value) if len(repr(value)) <= 80 else f"{repr(value)[:77]}…"
    return Misfit(f"{kind(value)} ({shown}) is no {wanted}")


def text(value: Any) -> str:
    """Any value as a text; PostgreSQL has no NUL in texts."""
    try:
        written = exact_text(value)
    except Unfit as error:
        raise Misfit(str(error)) from None
    if "\0" in written:
        raise Misfit("a text with a NUL character, which PostgreSQL cannot keep")
    return written


def name(value: Any) -> str:
    """A text that is short enough for PostgreSQL's `name`, which would cut it in silence."""
    written = text(value)
    if len(written.encode()) > _NAME_BYTES:
        raise _misfit(value, f"name of at most {_NAME_BYTES} bytes")
    return written


def other(value: Any) -> str:
    """A value for a type that PostgreSQL reads from its text form."""
    return text(value)


def _digits(value: str, wanted: str) -> decimal.Decimal:
    """The number that a text is, in its own digits."""
    if len(value) > _BEFORE + _BEHIND or not _NUMBER.fullmatch(value):
        raise _misfit(value, wanted)
    return decimal.Decimal(value.strip())


def whole(bits: int) -> Convert:
    """Whole numbers of so many bits."""
    limit = 1 << (bits - 1)
    wanted = f"whole number of {bits} bits"

    def convert(value: Any) -> int:
        number = value
        if isinstance(value, str):
            written = _digits(value, wanted)
            number = int(written) if written.adjusted() < 30 and written == written.to_integral_value() else value
        elif isinstance(value, float) and value.is_integer():
            number = int(value)
        if not isinstance(number, int) or not -limit <= number < limit:
            raise _misfit(value, wanted)
        return int(number)

    return convert


def floating(value: Any) -> float:
    """Numbers with a fraction, of double precision; what is too large or too small for it is refused."""
    if not isinstance(value, (int, float, str)):
        raise _misfit(value, "number")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise _misfit(value, "number")
    try:
        number = float(value)
    except OverflowError:
        raise _misfit(value, "number of double precision") from None
    if isinstance(value, str) and (number in (_INFINITY, -_INFINITY) or (not number and _NONZERO.match(value))):
        raise _misfit(value, "number of double precision")
    return number


def single(value: Any) -> float:
    """Numbers with a fraction, of single precision; what is too large or too small for it is refused."""
    number = floating(value)
    try:
        (kept,) = struct.unpack("<f", struct.pack("<f", number))
    except OverflowError:
        raise _misfit(value, "number of single precision") from None
    if number and not kept:
        raise _misfit(value, "number of single precision")
    return number


def numeric(value: Any) -> decimal.Decimal:
    """Numbers of any precision, in the digits in which they are written."""
    if isinstance(value, str):
        number = _digits(value, "number")
    elif isinstance(value, (int, float)):
        number = decimal.Decimal(value if isinstance(value, int) else repr(value))
    else:
        raise _misfit(value, "number")
    behind = number.as_tuple().exponent
    if not isinstance(behind, int) or behind < -_BEHIND or number.adjusted() >= _BEFORE:
        raise _misfit(value, "number that a numeric can keep")
    return number


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
            return _rounded(value)
        return datetime.datetime.fromtimestamp(0, UTC) + datetime.timedelta(milliseconds=value)
    except (ValueError, OverflowError):
        raise _misfit(value, "time") from None


def _rounded(value: str) -> datetime.datetime:
    """The time that a text says, to the nearest microsecond; Python cuts what is beyond it."""
    if not _ISO.fullmatch(value):
        raise _misfit(value, "time")
    moment = datetime.datetime.fromisoformat(value)
    beyond = _FRACTION.search(value)
    return moment + datetime.timedelta(microseconds=1) if beyond and beyond[1] >= "5" else moment


def timestamptz(value: Any) -> datetime.datetime:
    """A moment; a text without an offset is UTC."""
    moment = _moment(value)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def timestamp(value: Any) -> datetime.datetime:
    """A date and time without an offset: that of UTC, where the value has one."""
    moment = _moment(value)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def date(value: Any) -> datetime.date:
    """A date."""
    return timestamp(value).date()


def json(value: Any) -> str:
    """Any value as JSON; a text that is an object or an array is that."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        return document(value)
    return _encoded(value)


def _encoded(value: Any) -> str:
    try:
        return exact_json(value).decode()
    except Unfit as error:
        raise Misfit(str(error)) from None


def document(value: Any) -> str:
    """A text that is JSON as it is, with all of its digits, and every other value as JSON."""
    return value if isinstance(value, str) and _is_json(value) else _encoded(value)


def _is_json(value: str) -> bool:
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError as error:
        return "depth limit" in str(error)  # deeper than this reader goes: the database reads it
    return True


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
    **dict.fromkeys(("text", "varchar", "bpchar"), (text, None)),
    "name": (name, None),
    "int2": (whole(16), None),
    "int4": (whole(32), None),
    "int8": (whole(64), None),
    "float4": (single, None),
    "float8": (floating, float),
    "numeric": (numeric, None),
    "bool": (boolean, bool),
    "timestamptz": (timestamptz, None),
    "timestamp": (timestamp, None),
    "date": (date, None),
    **dict.fromkeys(("json", "jsonb"), (json, None)),
    "bytea": (binary, bytes),
    "uuid": (identifier, None),
    OTHER: (other, None),
}


def array_of(convert: Convert) -> Convert:
    """Arrays whose elements fit, arrays of arrays among them."""

    def converted(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _misfit(value, "array")
        return [None if i is None else converted(i) if isinstance(i, list) else convert(i) for i in value]

    return converted


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
        convert, ready = _conversion(type_name, path)
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


def _conversion(type_name: str, path: Path) -> tuple[Convert, str]:
    """The conversion for a type, and the test, as source, that a value `{v}` needs none."""
    convert, ready = TYPES[type_name.removesuffix("[]")]
    if type_name.endswith("[]"):
        return array_of(convert), "False"
    if convert is json and path == PAYLOAD:
        return document, "False"
    if convert is text:
        return text, "{v}.__class__ is str and '\\0' not in {v}"
    if type_name == "float4":
        return convert, "{v}.__class__ is float and (1e-37 < {v} < 3e38 or -3e38 < {v} < -1e-37 or {v} == 0)"
    if type_name in ("int2", "int4", "int8"):
        limit = 1 << (int(type_name[3]) * 8 - 1)
        return convert, f"{{v}}.__class__ is int and {-limit} <= {{v}} < {limit}"
    return convert, f"{{v}}.__class__ is {ready.__name__}" if ready else "False"
