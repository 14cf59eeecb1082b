"""Parts of bytes that are counted in bits."""

from __future__ import annotations

import math
import struct
from typing import Any, Final

from tieline.integration.rules.registry import function, octets, readable, whole
from tieline.integration.rules.values.errors import RuleFailure, Unfit
from tieline.integration.rules.values.values import MAX_BITS, MISSING, Bits

GROUP: Final = "Bits"
#: Fractions by their number of bits (IEEE 754), as `struct` names them.
_FRACTIONS: Final = {16: ">e", 32: ">f", 64: ">d"}
_CHOICES: Final = (("integer", "float", "bits"), ("unsigned", "signed"), ("big", "little"))


@function(
    GROUP,
    ("subbits('abc', 8)", "97"),
    ("subbits('abc', 9, 8)", "98"),
    ("subbits('abc', 9, 16, 'integer', 'signed', 'little')", "25442"),
    telling=True,
    unsettled=True,
)
def subbits(
    x: Any, first: Any, length: Any = None, kind: Any = "integer", sign: Any = "unsigned", order: Any = "big"
) -> Any:
    """Bits as a number: the first so many, or so many from a place, counted from 1, or as many as are there. The kind
    is `integer`, `float` (16, 32 or 64 bits) or `bits` (bytes), the sign `unsigned` or `signed`, the order `big` or
    `little`. NULL where the place is behind the end.
    """
    start, size = (0, whole(first)) if length is None else (whole(first) - 1, whole(length))
    for given, choices in zip((kind, sign, order), _CHOICES, strict=True):
        if given not in choices:
            raise Unfit(f"{' or '.join(choices)} is needed, not {given!r}")
    data, all_bits = octets(x), count(x)
    rest = all_bits - start
    if start < 0 or rest <= 0:
        return MISSING
    if not 0 <= size <= rest or (kind == "float" and size not in _FRACTIONS):
        size = rest
    value = int.from_bytes(data) >> (8 * len(data) - start - size) & ((1 << size) - 1)
    if kind == "bits":
        return _part(value, size)
    if size > MAX_BITS:
        raise RuleFailure(f"a whole number of more than {MAX_BITS} bits")
    raw = value if order == "big" else _little(value, size)
    if kind == "float":
        return _fraction(raw, size)
    return raw - (1 << size) if sign == "signed" and size and raw >> (size - 1) & 1 else raw


@function(GROUP, ("bytesize('é')", "2"))
def bytesize(x: Any) -> int:
    """The number of bytes of a text in UTF-8, or of bytes."""
    return len(octets(x))


@function(GROUP, ("bitsize('ab')", "16"), ("bitsize(subbits('ab', 1, 6, 'bits'))", "6"), telling=True)
def bitsize(x: Any) -> int:
    """The number of bits of a text in UTF-8, of bytes, or of bits."""
    return count(x)


def count(x: Any) -> int:
    """How many bits these are."""
    return x.size if isinstance(x, Bits) else 8 * len(octets(x))


def _part(value: int, size: int) -> str | bytes:
    filled = (value << (-size % 8)).to_bytes((size + 7) // 8)
    if size % 8 == 0:
        return readable(filled)
    bits = Bits(filled)
    bits.size = size
    return bits


def _little(value: int, size: int) -> int:
    """With the bytes in the other order; bits that are no whole byte are the last, and count most."""
    whole_bytes, more = divmod(size, 8)
    head = (value >> more).to_bytes(whole_bytes)
    return int.from_bytes(head, "little") | (value & ((1 << more) - 1)) << (8 * whole_bytes)


def _fraction(raw: int, size: int) -> float:
    if size not in _FRACTIONS:
        raise RuleFailure(f"a float has 16, 32 or 64 bits, not {size}")
    value: float = struct.unpack(_FRACTIONS[size], raw.to_bytes(size // 8))[0]
    if not math.isfinite(value):
        raise RuleFailure("these bits are no number")
    return value
