"""One scalar of a request: its text to a Python value, checked against the service model's constraints."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

from botocore.model import Shape

from tieline.fabric.aws.protocol.errors import Protocol, invalid_value

Read = Callable[[str, str], Any]  # text and parameter name to value; raises AwsError
Fail = Callable[[str, str, str], NoReturn]

BITS = {"integer": 31, "long": 63}
INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
DECIMAL = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?", re.ASCII)
BOOLEANS = {"true": True, "false": False}

# The models write patterns for Java: classes that Python lacks, within the brackets where they stand.
JAVA_CLASSES = {
    r"\p{L}": r"\w",
    r"\p{N}": r"\w",
    r"\p{Z}": r"\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
}
BEYOND_PYTHON = re.compile(r"\\u[0-9A-Fa-f]{5}|\\[pPx]\{")  # five-digit escapes, and any other class by name


def pattern_of(shape: Shape) -> re.Pattern[str] | None:
    """The model's pattern as Python understands it; None where there is none, or it cannot be said in Python."""
    java = shape.metadata.get("pattern")
    if java is None:
        return None
    unicode = any(name in java for name in JAVA_CLASSES)
    for name, same in JAVA_CLASSES.items():
        java = java.replace(name, same)
    if BEYOND_PYTHON.search(java):
        return None
    return re.compile(java, 0 if unicode else re.ASCII)


def reader(shape: Shape, protocol: Protocol) -> Read:
    """How a scalar of this shape is read."""
    fail = _failure(shape, protocol)
    make = READERS.get(shape.type_name)
    return make(shape, fail) if make else _string(shape, fail)


def _failure(shape: Shape, protocol: Protocol) -> Fail:
    secret = bool(shape.metadata.get("sensitive"))

    def fail(text: str, name: str, rule: str) -> NoReturn:
        raise invalid_value(protocol, name, "***" if secret else text, rule)

    return fail


def _string(shape: Shape, fail: Fail) -> Read:
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", math.inf)
    allowed = frozenset(shape.metadata.get("enum", ()))
    pattern = pattern_of(shape)
    if not (allowed or pattern or least or most < math.inf):
        return _as_it_is

    def read(text: str, name: str) -> str:
        if allowed and text not in allowed:
            fail(text, name, f"satisfy enum value set: [{', '.join(sorted(allowed))}]")
        if len(text) < least:
            fail(text, name, f"have length greater than or equal to {least}")
        if len(text) > most:
            fail(text, name, f"have length less than or equal to {most}")
        if pattern and not pattern.fullmatch(text):
            fail(text, name, f"satisfy regular expression pattern: {shape.metadata['pattern']}")
        return text

    return read


def _as_it_is(text: str, _: str) -> str:
    return text


def _integer(shape: Shape, fail: Fail) -> Read:
    limit = 1 << BITS[shape.type_name]
    least, most = shape.metadata.get("min", -limit), shape.metadata.get("max", limit - 1)

    def read(text: str, name: str) -> int:
        if not INTEGER.fullmatch(text):
            fail(text, name, "be a whole number")
        number = int(text)
        if number < least:
            fail(text, name, f"have value greater than or equal to {least}")
        if number > most:
            fail(text, name, f"have value less than or equal to {most}")
        return number

    return read


def _decimal(shape: Shape, fail: Fail) -> Read:
    least, most = shape.metadata.get("min", -math.inf), shape.metadata.get("max", math.inf)

    def read(text: str, name: str) -> float:
        number = float(text) if DECIMAL.fullmatch(text) else math.inf
        if not math.isfinite(number):
            fail(text, name, "be a number")
        if not least <= number <= most:
            fail(text, name, f"have value between {least} and {most}")
        return number

    return read


def _boolean(_: Shape, fail: Fail) -> Read:
    def read(text: str, name: str) -> bool:
        value = BOOLEANS.get(text.lower())
        if value is None:
            fail(text, name, "be true or false")
        return value

    return read


def _timestamp(_: Shape, fail: Fail) -> Read:
    def read(text: str, name: str) -> datetime:
        try:
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            fail(text, name, "be a time such as 2026-01-31T12:00:00Z")

    return read


def _blob(shape: Shape, fail: Fail) -> Read:
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max", math.inf)

    def read(text: str, name: str) -> bytes:
        try:
            value = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            fail(text, name, "be encoded in base64")
        if not least <= len(value) <= most:
            fail(text, name, f"have between {least} and {most} bytes")
        return value

    return read


READERS: dict[str, Callable[[Shape, Fail], Read]] = {
    "integer": _integer,
    "long": _integer,
    "float": _decimal,
    "double": _decimal,
    "boolean": _boolean,
    "timestamp": _timestamp,
    "blob": _blob,
}
