"""JSON texts and their values, in which a whole number keeps every digit, however large it is."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import orjson

from tieline.integration.messages.deep import deep_json

#: The value of a JSON text, or of its bytes. Raises one of NOT_JSON. It reads what orjson reads, and reads whole
#: numbers of more than 64 bits without rounding them (orjson 3.11 makes them fractions).
decode: Final = msgspec.json.Decoder().decode
#: What `decode` raises: for a text that is no JSON, for bytes that are no UTF-8, and for one nested too deeply.
NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Missing:
    """What is not there, where a rule tells it from JSON's null; inside JSON it is null."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


def encode(value: Any) -> str:
    """A value as JSON. Bytes inside it are texts of Latin-1 characters, byte for byte, so that they can be had back."""
    try:
        return orjson.dumps(value, default=_latin).decode()
    except orjson.JSONEncodeError:  # a whole number of more than 64 bits
        try:
            return json.dumps(value, default=_latin, ensure_ascii=False, separators=(",", ":"))
        except RecursionError:
            return deep_json(value, _latin)


def _latin(value: Any) -> str | None:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if value is MISSING:
        return None
    raise TypeError(f"{type(value).__name__} has no JSON")
