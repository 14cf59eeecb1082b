"""Values as literals of ClickHouse's VALUES format, each as the type of its column wants it.

The server reads VALUES for speed: 300 for an Int8 becomes 44, 1e39 for a Float32 infinity, Unix time in milliseconds
for a DateTime a date in 2080, and a date of the year 1950 no date. So what a column cannot hold is refused here.

| column | taken | refused |
|---|---|---|
| Int…, UInt… | whole numbers in its range, numbers without a fraction, their texts, booleans as 1 and 0 | others |
| Float…, Decimal | numbers in its range, their texts, booleans as 1 and 0; Decimal rounds to its scale | others |
| String, FixedString | texts and bytes; everything else as its JSON text | |
| Date, DateTime | ISO 8601 texts; numbers and their texts, by their size days, seconds or milliseconds | others |
| Enum | its texts and its numbers | others |
| UUID | texts of a UUID | others |
| Array | arrays whose elements fit; texts as ClickHouse reads them | others |
| every other type | what ClickHouse takes of it | |
"""

from __future__ import annotations

import datetime
import decimal
import re
from collections.abc import Callable
from typing import Any, Final

from tieline.integration.rules.compile.template import exact_text
from tieline.integration.rules.values.values import kind
from tieline.integration.sinks.sql import conversion
from tieline.integration.sinks.sql.conversion import UTC, Misfit

Literal = Callable[[Any], str]
_WRAPPED: Final = re.compile(r"(?:Nullable|LowCardinality)\((.*)\)")
_WHOLE: Final = re.compile(r"(U?)Int(8|16|32|64|128|256)")
_DECIMAL: Final = re.compile(r"Decimal\((\d+), *(\d+)\)")
_ENUM: Final = re.compile(r"Enum(?:8|16)\(.*\)", re.DOTALL)
_MEMBER: Final = re.compile(r"'((?:[^'\\]|\\.)*)' = (-?\d+)", re.DOTALL)
_ARRAY: Final = re.compile(r"Array\((.*)\)", re.DOTALL)
_NUMBER: Final = re.compile(r"\s*\d+(\.0*)?\s*", re.ASCII)
_DAYS: Final = 1 << 16  # what a Date keeps, in two bytes
_SECONDS: Final = 1 << 32  # what a DateTime keeps, in four
_FIRST: Final = datetime.datetime(1970, 1, 1)
#: The last year that ClickHouse 18.16 knows whole (DateLUTImpl.h, DATE_LUT_MAX_YEAR); later versions know more.
_LAST_DATE: Final = datetime.datetime(2106, 1, 1)
_LAST_TIME: Final = datetime.datetime(2106, 2, 7)


def quoted(value: Any) -> str:
    """Any value as a text."""
    written = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else exact_text(value)
    return "'" + written.replace("\\", "\\\\").replace("'", "\\'") + "'"


def literal(value: Any, text: bool) -> str:
    """A value for an expression, whose type nobody says; `text`: also a number is to be a text."""
    if not text and isinstance(value, bool):
        return str(int(value))
    if not text and isinstance(value, (int, float)):
        return repr(value)
    return quoted(value)


def literal_of(type_name: str) -> Literal | None:
    """The literals for a column of this type; None where ClickHouse is to judge."""
    if wrapped := _WRAPPED.fullmatch(type_name):
        return literal_of(wrapped[1])
    if number := _WHOLE.fullmatch(type_name):
        return _whole(int(number[2]), signed=not number[1])
    if number := _DECIMAL.fullmatch(type_name):
        return _decimal(int(number[1]), int(number[2]))
    if _ENUM.fullmatch(type_name):
        return _enum(type_name)
    if array := _ARRAY.fullmatch(type_name):
        return _array(literal_of(array[1]) or (lambda value: literal(value, text=False)))
    if type_name == "DateTime" or type_name.startswith("DateTime("):
        return _time
    return quoted if type_name.startswith("FixedString(") else _NAMED.get(type_name)


def _misfit(value: Any, wanted: str) -> Misfit:
    return Misfit(f"{kind(value)} ({value!r:.80}) is no {wanted}")


def _whole(bits: int, signed: bool) -> Literal:
    least, end = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    wanted, large = f"whole number from {least} to {end - 1}", conversion.whole(300)

    def write(value: Any) -> str:
        try:
            number = value if value.__class__ is int else large(value)
        except Misfit:
            raise _misfit(value, wanted) from None
        if not least <= number < end:
            raise _misfit(value, wanted)
        return str(number)

    return write


def _float(convert: Callable[[Any], float]) -> Literal:
    def write(value: Any) -> str:
        number = convert(value)
        if number - number != 0:
            raise _misfit(value, "finite number")
        return repr(number)

    return write


def _decimal(digits: int, scale: int) -> Literal:
    step, context = decimal.Decimal(1).scaleb(-scale), decimal.Context(prec=200, rounding=decimal.ROUND_HALF_UP)

    def write(value: Any) -> str:
        number = conversion.numeric(value)
        if number and number.adjusted() >= digits - scale:
            raise _misfit(value, f"number of {digits - scale} digits before the point")
        number = number.quantize(step, context=context)
        if number and number.adjusted() >= digits - scale:
            raise _misfit(value, f"number of {digits - scale} digits before the point")
        return f"{number:f}"

    return write


def _enum(type_name: str) -> Literal:
    members = {
        re.sub(r"\\(.)", r"\1", name, flags=re.DOTALL): int(number) for name, number in _MEMBER.findall(type_name)
    }
    names = {number: name for name, number in members.items()}

    def write(value: Any) -> str:
        name = names.get(value) if type(value) is int else value
        if not isinstance(name, str) or name not in members:
            raise _misfit(value, f"member of {type_name:.200}")
        return quoted(name)

    return write


def _array(element: Literal) -> Literal:
    def write(value: Any) -> str:
        if isinstance(value, str):
            return quoted(value)
        if not isinstance(value, list):
            raise _misfit(value, "array")
        return "[" + ",".join("NULL" if item is None else element(item) for item in value) + "]"

    return write


def _count(value: Any) -> int | None:
    """The number that a value for a date is; None where it is a text with a date."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _misfit(value, "time")
    number: int = conversion.whole(64)(value)
    if number < 0:
        raise _misfit(value, "time since 1970")
    return number


def _moment(value: str, last: datetime.datetime) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(value)
        plain = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        raise _misfit(value, "time") from None
    if not _FIRST <= plain < last:
        raise _misfit(value, f"time from {_FIRST.year} to {last.year - 1}")
    return moment


def _time(value: Any) -> str:
    """A number is seconds as long as they fit, milliseconds else. A text without an offset is in the column's zone."""
    number = _count(value)
    if number is None:
        moment = _moment(value, _LAST_TIME)
        return str(int(moment.timestamp())) if moment.tzinfo else f"'{moment:%Y-%m-%d %H:%M:%S}'"
    seconds = number if number < _SECONDS else number // 1000
    if seconds >= _SECONDS:
        raise _misfit(value, "time until 2106")
    return str(seconds)


def _date(value: Any) -> str:
    """A number is days as long as they fit, then seconds, then milliseconds."""
    number = _count(value)
    if number is None:
        moment = _moment(value, _LAST_DATE)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment
        return f"'{moment:%Y-%m-%d}'"
    days = number if number < _DAYS else (number if number < _SECONDS else number // 1000) // 86400
    if days >= (_LAST_DATE - _FIRST).days:
        raise _misfit(value, f"date until {_LAST_DATE.year - 1}")
    return f"'{_FIRST + datetime.timedelta(days):%Y-%m-%d}'"


_NAMED: Final[dict[str, Literal]] = {
    "String": quoted,
    "Float32": _float(conversion.single),
    "Float64": _float(conversion.floating),
    "Date": _date,
    "UUID": lambda value: quoted(str(conversion.identifier(value))),
}
