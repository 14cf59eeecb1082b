"""Any value whatever as a value that every JSON encoder takes: of few levels, of limited size, nothing odd in it.

Without recursion, so that no depth of what somebody sent ends the one who writes it down.
"""

from __future__ import annotations

import math
from typing import Any, Final

DEPTH: Final = 32  # levels that are shown: pydantic stops at 255, orjson at 254, Python itself at 1,000
SIZE: Final = 64 << 10  # characters of all texts together, and so many for each value
EACH: Final = 8  # that a value costs apart from its text
CUT: Final = "…"
_NESTED: Final = frozenset({dict, list, tuple})
_WHOLE: Final = 1 << 63  # beyond it, JSON readers differ


def plain(value: Any, size: int = SIZE, depth: int = DEPTH) -> Any:
    """The value, or as much of it as fits; what is left out is marked with an ellipsis."""
    root: list[Any] = [None]
    left = size
    waiting: list[tuple[Any, Any, Any, int]] = [(value, root, 0, 0)]
    while waiting:
        one, place, key, level = waiting.pop()
        left -= EACH
        if isinstance(one, dict | list | tuple | set | frozenset):
            if level >= depth or left <= 0:
                place[key] = CUT
                continue
            room = left // EACH
            inner, parts = _opened(one, room)
            place[key] = inner
            left -= sum(len(name) for name, _ in parts if isinstance(name, str))
            waiting.extend((part, inner, name, level + 1) for name, part in reversed(parts))
        else:
            place[key] = _scalar(one, max(left, 0))
            left -= len(place[key]) if isinstance(place[key], str) else 0
    return root[0]


def deep(value: Any, levels: int) -> bool:
    """Whether a value has more than so many levels."""
    present = [value]
    for _ in range(levels):
        present = [
            part
            for one in present
            if one.__class__ in _NESTED
            for part in (one.values() if isinstance(one, dict) else one)
            if part.__class__ in _NESTED
        ]
        if not present:
            return False
    return True


def _opened(value: Any, room: int) -> tuple[Any, list[tuple[Any, Any]]]:
    """An empty map or list for the first parts of a value, and these parts by their name or place."""
    if isinstance(value, dict):
        pairs = [(shown(str(name) if _easy(name) else _scalar(name, room), room), part) for name, part in value.items()]
        return dict.fromkeys(name for name, _ in pairs[:room]), pairs[:room]
    parts = list(value)[:room]
    return [None] * len(parts), list(enumerate(parts))


def _easy(name: Any) -> bool:
    return isinstance(name, str | bool | float) or name is None


def _scalar(value: Any, room: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if -_WHOLE <= value < _WHOLE:
            return value
        return str(value) if value.bit_length() < 4096 else f"a whole number of {value.bit_length()} bits"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray):
        return shown(bytes(value[: room + 1]).decode("latin-1"), room)
    return shown(value if isinstance(value, str) else f"<{type(value).__name__}>", room)


def shown(text: Any, room: int = SIZE) -> str:
    """A text that UTF-8 has, of at most so many characters."""
    found = text if isinstance(text, str) else str(text)
    if len(found) > room:
        found = found[:room] + CUT
    return found if found.isascii() else found.encode("utf-8", "backslashreplace").decode()
