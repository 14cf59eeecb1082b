"""Erlang's external term format, for what rules hold: texts and bytes, numbers, booleans, NULL, arrays and maps.

https://www.erlang.org/doc/apps/erts/erl_ext_dist.html names the tags.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from tieline.integration.rules.registry import function, octets, readable
from tieline.integration.rules.values.errors import RuleFailure
from tieline.integration.rules.values.values import bounded, kind

GROUP: Final = "Encoding"
VERSION: Final = 131
MAX_DEPTH: Final = 200  # of terms inside terms
_ATOMS: Final = {"true": True, "false": False, "null": None, "undefined": None}
_TINY, _WHOLE, _SMALL_BIG, _LARGE_BIG, _FLOAT = 97, 98, 110, 111, 70
_BINARY, _STRING, _LIST, _NIL, _MAP = 109, 107, 108, 106, 116
_NAMES: Final = {119: ">B", 115: ">B", 118: ">H", 100: ">H"}  # atoms, by the form of their length


@function(GROUP, ("term_encode('abc') = hexstr2bin('836D00000003616263')", "true"))
def term_encode(x: Any) -> bytes:
    """A value in Erlang's external term format."""
    return bytes([VERSION]) + _encoded(x, 0)


@function(GROUP, ("term_decode(term_encode([1, 'a', true]))", "[1, 'a', true]"))
def term_decode(x: Any) -> Any:
    """The value of bytes in Erlang's external term format."""
    data = octets(x)
    if data[:1] != bytes([VERSION]):
        raise RuleFailure("these bytes are no Erlang term")
    reader = _Reader(data, 1)
    try:
        value = reader.term(0)
    except (IndexError, struct.error, UnicodeDecodeError):
        raise RuleFailure("the end of this Erlang term is missing, or it is damaged") from None
    if not reader.ended:
        raise RuleFailure("more stands behind this Erlang term")
    return value


def _deeper(depth: int) -> int:
    if depth > MAX_DEPTH:
        raise RuleFailure(f"terms are nested more than {MAX_DEPTH} deep")
    return depth + 1


def _encoded(value: Any, depth: int) -> bytes:
    depth = _deeper(depth)
    if value is None or isinstance(value, bool):
        name = {True: b"true", False: b"false", None: b"null"}[value]
        return struct.pack(">BB", 119, len(name)) + name
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, float):
        return struct.pack(">Bd", _FLOAT, value)
    if isinstance(value, (str, bytes)):
        data = octets(value)
        return struct.pack(">BI", _BINARY, len(data)) + data
    if isinstance(value, list):
        return _list(value, depth)
    if isinstance(value, dict):
        pairs = b"".join(_encoded(key, depth) + _encoded(value[key], depth) for key in sorted(value))
        return struct.pack(">BI", _MAP, len(value)) + pairs
    raise RuleFailure(f"{kind(value)} is no Erlang term")


def _whole(value: int) -> bytes:
    if 0 <= value < 256:
        return struct.pack(">BB", _TINY, value)
    if -(1 << 31) <= value < 1 << 31:
        return struct.pack(">Bi", _WHOLE, value)
    data = abs(value).to_bytes((value.bit_length() + 7) // 8, "little")
    head = struct.pack(">BB", _SMALL_BIG, len(data)) if len(data) < 256 else struct.pack(">BI", _LARGE_BIG, len(data))
    return head + bytes([value < 0]) + data


def _list(value: list[Any], depth: int) -> bytes:
    if not value:
        return bytes([_NIL])
    if len(value) < 1 << 16 and all(type(item) is int and 0 <= item < 256 for item in value):
        return struct.pack(">BH", _STRING, len(value)) + bytes(value)
    return struct.pack(">BI", _LIST, len(value)) + b"".join(_encoded(item, depth) for item in value) + bytes([_NIL])


class _Reader:
    """Reads one term after the other from bytes."""

    def __init__(self, data: bytes, place: int) -> None:
        self._data, self._place = data, place

    @property
    def ended(self) -> bool:
        return self._place == len(self._data)

    def take(self, size: int) -> bytes:
        data = self._data[self._place : self._place + size]
        if len(data) < size:
            raise IndexError
        self._place += size
        return data

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def term(self, depth: int) -> Any:
        depth, tag = _deeper(depth), self.number(">B")
        if tag in _NAMES:
            name = self.take(self.number(_NAMES[tag])).decode()
            return _ATOMS.get(name, name)
        if tag in (_SMALL_BIG, _LARGE_BIG):
            return self._big(self.number(">B" if tag == _SMALL_BIG else ">I"))
        if tag in (_TINY, _WHOLE, _FLOAT):
            return bounded(self.number({_TINY: ">B", _WHOLE: ">i", _FLOAT: ">d"}[tag]))
        return self._compound(tag, depth)

    def _compound(self, tag: int, depth: int) -> Any:
        if tag == _BINARY:
            return readable(self.take(self.number(">I")))
        if tag == _STRING:
            return list(self.take(self.number(">H")))
        if tag == _NIL:
            return []
        if tag == _LIST:
            items = [self.term(depth) for _ in range(self.number(">I"))]
            if self.number(">B") != _NIL:
                raise RuleFailure("this Erlang term is a list without an end, which JSON does not have")
            return items
        if tag == _MAP:
            pairs = [(self.term(depth), self.term(depth)) for _ in range(self.number(">I"))]
            return {key if isinstance(key, str) else str(key): value for key, value in pairs}
        raise RuleFailure(f"terms of the tag {tag} have no JSON")

    def _big(self, size: int) -> int:
        negative = self.number(">B")
        value = int.from_bytes(self.take(size), "little")
        return int(bounded(-value if negative else value))
