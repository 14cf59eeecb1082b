"""Functions on dates and times; a time is Unix time in a unit that is named, seconds where it is not."""

from __future__ import annotations

import datetime
import re
import time
from typing import Any, Final

from tieline.integration.rules.registry import function, number, text
from tieline.integration.rules.values.errors import RuleFailure, Unfit

GROUP: Final = "Dates and times"
UNITS: Final[dict[str, int]] = {"second": 1, "millisecond": 1000, "microsecond": 1_000_000, "nanosecond": 1_000_000_000}
NANO: Final = 1_000_000_000
UTC: Final = datetime.UTC
_EPOCH: Final = datetime.datetime.fromtimestamp(0, UTC)
_OFFSET: Final = re.compile(r"([+-])(?:([0-9]{2})([0-9]{2})|([0-9]+):([0-9]+)(?::([0-9]+))?)")
_RFC3339: Final = re.compile(  # its section 5.6, https://www.rfc-editor.org/rfc/rfc3339#section-5.6
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?(Z|z|[+-][0-9]{2}:[0-9]{2})"
)
#: The directives of a format, and how many characters of a text each has.
_DIRECTIVE: Final = re.compile(r"%(3N|6N|::z|:z|[YmdHMSNz])")
_SIZES: Final = {
    "Y": 4,
    "m": 2,
    "d": 2,
    "H": 2,
    "M": 2,
    "S": 2,
    "N": 9,
    "3N": 3,
    "6N": 6,
    "z": 5,
    ":z": 6,
    "::z": 9,
}
_DIGITS: Final = re.compile("[0-9]+")


def _per_second(unit: Any) -> int:
    if not isinstance(unit, str) or unit not in UNITS:
        raise Unfit(f"a unit is one of {', '.join(UNITS)}, not {unit!r}")
    return UNITS[unit]


def _nanoseconds(value: Any, unit: Any) -> int:
    try:
        return int(number(value) * (NANO // _per_second(unit)))
    except OverflowError:
        raise RuleFailure("a time between the years 1 and 9999 is needed") from None


def _zone(offset: Any) -> datetime.tzinfo | None:
    """The zone of `Z`, `local`, `+02:00` or a number of seconds; None is the machine's own."""
    if isinstance(offset, int) and not isinstance(offset, bool) and abs(offset) < 86400:
        return datetime.timezone(datetime.timedelta(seconds=offset))
    if offset in ("z", "Z"):
        return UTC
    if offset == "local":
        return None
    return datetime.timezone(datetime.timedelta(seconds=_offset(offset)))


def _offset(written: Any) -> int:
    """The seconds of `+0200`, `+02:00`, `+2:00` or `+02:00:00`."""
    found = _OFFSET.fullmatch(written) if isinstance(written, str) else None
    hours, minutes, seconds = ("99", "0", "0") if not found else (found[2] or found[4], found[3] or found[5], found[6])
    parts = [int(part[-4:]) for part in (hours, minutes, seconds or "0")]
    if not found or parts[0] > 23 or parts[1] > 59 or parts[2] > 59:
        raise Unfit(f"a time offset is Z, local, +HH:MM or seconds, not {written!r}")
    total = parts[0] * 3600 + parts[1] * 60 + parts[2]
    return total if found[1] == "+" else -total


def _moment(nanoseconds: int, zone: datetime.tzinfo | None) -> datetime.datetime:
    try:
        return datetime.datetime.fromtimestamp(nanoseconds // NANO, UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        raise RuleFailure("a time between the years 1 and 9999 is needed") from None


def _rfc3339(nanoseconds: int, unit: Any, zone: datetime.tzinfo | None) -> str:
    moment = _moment(nanoseconds, zone)
    digits = len(str(_per_second(unit))) - 1
    fraction = f".{nanoseconds % NANO:09d}"[: digits + 1] if digits else ""
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}{fraction}{_written(moment, ':z')}"


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
    """The time that a text of RFC 3339 means, what is less than a unit being rounded."""
    found = _RFC3339.fullmatch(text(x))
    if not found:
        raise RuleFailure(f"{x!r} is no time of RFC 3339, or has no time offset")
    seconds = _seconds([int(part) for part in found.groups()[:6]], UTC)
    seconds -= 0 if found[8] in "Zz" else _offset(found[8])
    per_second = _per_second(unit)
    return int(seconds * per_second + (_rounded(found[7] or "0", per_second) if per_second > 1 else 0))


def _rounded(digits: str, per_second: int) -> int:
    """So many units, halves rounded up, as the digits of a fraction of a second are."""
    scale = 10 ** min(len(digits), 40)
    return int((2 * int(digits[:40]) * per_second + scale) // (2 * scale))


def _seconds(parts: list[int], zone: datetime.tzinfo | None) -> int:
    """The seconds since 1970 of a year, month, day, hour, minute and second."""
    try:
        moment = datetime.datetime(*parts)  # type: ignore[arg-type]
        moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
        return int((moment - _EPOCH) // datetime.timedelta(seconds=1))
    except (ValueError, OverflowError, OSError) as error:
        raise RuleFailure(f"there is no such time: {error}") from None


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
            return fraction[: _SIZES[directive]]
        if directive.endswith("z"):
            return _written(moment, directive)
        return moment.strftime(f"%{directive}").rjust(_SIZES[directive], "0")

    return _DIRECTIVE.sub(fill, text(format))


@function(
    GROUP,
    ("date_to_unix_ts('second', '%Y-%m-%d %H:%M:%S%:z', '2022-05-26 18:40:12+08:00')", "1653561612"),
    ("date_to_unix_ts('second', '+0800', '%Y-%m-%d %H-%M-%S', '2022-05-26 18-40-12')", "1653561612"),
    ("date_to_unix_ts('millisecond', '%Y-%m-%d %H:%M:%S.%3N', '2022-05-26 10:40:12.345')", "1653561612345"),
)
def date_to_unix_ts(unit: Any, first: Any, second: Any, third: Any = None) -> int:
    """The time that a text means in a format as `format_date` has it: `(unit, format, text)`, or with a time offset as
    well `(unit, offset, format, text)`. As in EMQX, only the places of the digits count: other characters of the format
    stand for any, an offset that the format ends with may be missing, and one that is there counts with the one that is
    given.
    """
    offset, format, written = ("Z", first, second) if third is None else (first, second, third)
    read = _read(text(format), text(written))
    parts = [int(read.get(name, default)) for name, default in zip("YmdHMS", (1970, 1, 1, 0, 0, 0), strict=True)]
    seconds = _seconds(parts, _zone(offset)) - int(read.get("z", "0"))
    fraction = int(read.get("N", "0").ljust(9, "0"))
    return (seconds * NANO + fraction) // (NANO // _per_second(unit))


def _read(format: str, written: str) -> dict[str, str]:
    """The digits of each part of a time, by its directive; `N` is a fraction, `z` the seconds of an offset."""
    read: dict[str, str] = {}
    place = 0
    for turn, part in enumerate(_DIRECTIVE.split(format)):
        size = _SIZES[part] if turn % 2 else len(part)
        given, place = written[place : place + size], place + size
        if not turn % 2 or (part[-1] == "z" and not given):
            continue
        if part[-1] == "z":
            read["z"] = str(_offset(given))
        elif len(given) == size and _DIGITS.fullmatch(given):
            read[part[-1]] = given
        else:
            raise RuleFailure(f"{written!r} does not have the format {format!r}")
    return read


@function(GROUP, ("timezone_to_offset_seconds('+08:00')", "28800"), ("timezone_to_offset_seconds('Z')", "0"))
def timezone_to_offset_seconds(offset: Any) -> int:
    """The seconds that a time offset is ahead of UTC."""
    moment = datetime.datetime.now(UTC).astimezone(_zone(offset))
    return int((moment.utcoffset() or datetime.timedelta()).total_seconds())


@function(GROUP, ("timezone_to_second('-0100')", "-3600"))
def timezone_to_second(offset: Any) -> int:
    """The same as `timezone_to_offset_seconds`."""
    return timezone_to_offset_seconds(offset)
