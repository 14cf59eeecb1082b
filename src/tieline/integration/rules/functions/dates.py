"""Functions on dates and times; a time is Unix time in a unit that is named, seconds where it is not."""

from __future__ import annotations

import datetime
import re
import time
from typing import Any, Final

from tieline.integration.rules.errors import RuleFailure
from tieline.integration.rules.functions.registry import function, number, text

GROUP: Final = "Dates and times"
UNITS: Final = {"second": 1, "millisecond": 1000, "microsecond": 1_000_000, "nanosecond": 1_000_000_000}
NANO: Final = 1_000_000_000
UTC: Final = datetime.UTC
_OFFSET: Final = re.compile(r"^([+-])(\d{2}):?(\d{2})(?::?(\d{2}))?$")
#: What each directive of a format matches and means.
_DIRECTIVE: Final = re.compile(r"%(3N|6N|::z|:z|[YmdHMSNz%])")
_DIGITS: Final = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "N": 9, "3N": 3, "6N": 6}


def _per_second(unit: Any) -> int:
    if unit not in UNITS:
        raise RuleFailure(f"a unit is one of {', '.join(UNITS)}, not {unit!r}")
    return UNITS[unit]


def _nanoseconds(value: Any, unit: Any) -> int:
    return int(number(value) * (NANO // _per_second(unit)))


def _zone(offset: Any) -> datetime.tzinfo | None:
    """The zone of `Z`, `local`, `+02:00` or a number of seconds; None is the machine's own."""
    if isinstance(offset, int) and not isinstance(offset, bool) and abs(offset) < 86400:
        return datetime.timezone(datetime.timedelta(seconds=offset))
    if offset in ("z", "Z"):
        return UTC
    if offset == "local":
        return None
    found = _OFFSET.match(offset) if isinstance(offset, str) else None
    if not found or int(found[2]) > 23 or int(found[3]) > 59:
        raise RuleFailure(f"a time offset is Z, local, +HH:MM or seconds, not {offset!r}")
    seconds = int(found[2]) * 3600 + int(found[3]) * 60 + int(found[4] or 0)
    return datetime.timezone(datetime.timedelta(seconds=seconds if found[1] == "+" else -seconds))


def _moment(nanoseconds: int, zone: datetime.tzinfo | None) -> datetime.datetime:
    try:
        return datetime.datetime.fromtimestamp(nanoseconds // NANO, UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        raise RuleFailure("a time between the years 1 and 9999 is needed") from None


def _rfc3339(nanoseconds: int, unit: Any, zone: datetime.tzinfo | None) -> str:
    moment = _moment(nanoseconds, zone)
    digits = len(str(_per_second(unit))) - 1
    fraction = f".{nanoseconds % NANO:09d}"[: digits + 1] if digits else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{_written(moment, ':z')}"


def _written(moment: datetime.datetime, directive: str) -> str:
    """The offset from UTC as `%z`, `%:z` or `%::z` write it."""
    total = int((moment.utcoffset() or datetime.timedelta()).total_seconds())
    parts = [f"{abs(total) // 3600:02d}", f"{abs(total) % 3600 // 60:02d}", f"{abs(total) % 60:02d}"]
    sign = "-" if total < 0 else "+"
    return sign + {"z": "".join(parts[:2]), ":z": ":".join(parts[:2]), "::z": ":".join(parts)}[directive]


@function(GROUP, ("now_timestamp() > 1600000000", "true"), ("now_timestamp('millisecond') > 1600000000000", "true"))
def now_timestamp(unit: Any = "second") -> int:
    """The present time."""
    return time.time_ns() // (NANO // _per_second(unit))


@function(GROUP, ("now_rfc3339()", None), ("now_rfc3339('millisecond')", None))
def now_rfc3339(unit: Any = "second") -> str:
    """The present time as RFC 3339 writes it, in the machine's time zone."""
    return _rfc3339(time.time_ns(), unit, None)


@function(GROUP, ("rfc3339_to_unix_ts(unix_ts_to_rfc3339(1650874276)) = 1650874276", "true"))
def unix_ts_to_rfc3339(value: Any, unit: Any = "second") -> str:
    """A time as RFC 3339 writes it, in the machine's time zone."""
    return _rfc3339(_nanoseconds(value, unit), unit, None)


@function(
    GROUP,
    ("rfc3339_to_unix_ts('2022-04-25T16:11:16+08:00')", "1650874276"),
    ("rfc3339_to_unix_ts('2022-04-25T08:11:16.318Z', 'millisecond')", "1650874276318"),
)
def rfc3339_to_unix_ts(x: Any, unit: Any = "second") -> int:
    """The time that a text of RFC 3339 means."""
    try:
        moment = datetime.datetime.fromisoformat(text(x))
    except ValueError:
        raise RuleFailure(f"{x!r} is no time of RFC 3339") from None
    if moment.tzinfo is None:
        raise RuleFailure(f"{x!r} has no time offset")
    since = moment - datetime.datetime.fromtimestamp(0, UTC)
    return (since // datetime.timedelta(microseconds=1)) * 1000 // (NANO // _per_second(unit))


@function(
    GROUP,
    ("format_date('second', '+0800', '%Y-%m-%d %H:%M:%S%:z', 1653561612)", "'2022-05-26 18:40:12+08:00'"),
    ("format_date('millisecond', 'Z', '%H:%M:%S.%3N', 1653561612345)", "'10:40:12.345'"),
)
def format_date(unit: Any, offset: Any, format: Any, value: Any = None) -> str:
    """A time, or the present one, in a format of `%Y %m %d %H %M %S`, `%N %3N %6N` (fractions of a second in nine,
    three or six digits) and `%z %:z %::z` (the offset).
    """
    nanoseconds = time.time_ns() if value is None else _nanoseconds(value, unit)
    _per_second(unit)
    moment = _moment(nanoseconds, _zone(offset))
    fraction = f"{nanoseconds % NANO:09d}"

    def fill(match: re.Match[str]) -> str:
        directive = match[1]
        if directive.endswith("N"):
            return fraction[: _DIGITS[directive]]
        if directive.endswith("z"):
            return _written(moment, directive)
        return "%" if directive == "%" else moment.strftime(f"%{directive}").rjust(_DIGITS[directive], "0")

    return _DIRECTIVE.sub(fill, text(format))


@function(
    GROUP,
    ("date_to_unix_ts('second', '%Y-%m-%d %H:%M:%S%:z', '2022-05-26 18:40:12+08:00')", "1653561612"),
    ("date_to_unix_ts('second', '+0800', '%Y-%m-%d %H-%M-%S', '2022-05-26 18-40-12')", "1653561612"),
    ("date_to_unix_ts('millisecond', '%Y-%m-%d %H:%M:%S.%3N', '2022-05-26 10:40:12.345')", "1653561612345"),
)
def date_to_unix_ts(unit: Any, first: Any, second: Any, third: Any = None) -> int:
    """The time that a text means in a format as `format_date` has it: `(unit, format, text)`, or with the offset of a
    text that names none `(unit, offset, format, text)`.
    """
    offset, format, written = ("Z", first, second) if third is None else (first, second, third)
    names: list[str] = []

    def expression(directive: str) -> str:
        names.append(directive)
        return r"([+-]\d{2}:?\d{2}(?::?\d{2})?)" if directive.endswith("z") else rf"(\d{{{_DIGITS[directive]}}})"

    parts = _DIRECTIVE.split(text(format))
    pattern = "".join(
        ("%" if part == "%" else expression(part)) if place % 2 else re.escape(part) for place, part in enumerate(parts)
    )
    found = re.fullmatch(pattern, text(written))
    if not found:
        raise RuleFailure(f"{written!r} does not have the format {format!r}")
    return _assembled(dict(zip(names, found.groups(), strict=True)), offset) // (NANO // _per_second(unit))


def _assembled(read: dict[str, str], offset: Any) -> int:
    """Nanoseconds since 1970 of the parts that were read."""
    zone = next((_zone(value) for name, value in read.items() if name.endswith("z")), _zone(offset))
    numbers = [int(read.get(name, default)) for name, default in zip("YmdHMS", (1970, 1, 1, 0, 0, 0), strict=True)]
    try:
        moment = datetime.datetime(*numbers)  # type: ignore[arg-type]
    except ValueError as error:
        raise RuleFailure(f"there is no such time: {error}") from None
    moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
    fraction = next((value for name, value in read.items() if name.endswith("N")), "0")
    return int(moment.timestamp()) * NANO + int(fraction.ljust(9, "0"))


@function(GROUP, ("timezone_to_offset_seconds('+08:00')", "28800"), ("timezone_to_offset_seconds('Z')", "0"))
def timezone_to_offset_seconds(offset: Any) -> int:
    """The seconds that a time offset is ahead of UTC."""
    moment = datetime.datetime.now(UTC).astimezone(_zone(offset))
    return int((moment.utcoffset() or datetime.timedelta()).total_seconds())


@function(GROUP, ("timezone_to_second('-0100')", "-3600"))
def timezone_to_second(offset: Any) -> int:
    """The same as `timezone_to_offset_seconds`."""
    return timezone_to_offset_seconds(offset)
