"""What no body may have, whatever its operation: nesting that readers give up at, texts and numbers that JSON has not.

Each of them would pass Python's reader, and fail later where it is stored, answered, or told to an agent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final

from fastapi import Request

from tieline.cloud.model.problems import malformed

SHOWN: Final = 60  # characters of a name
TWICE: Final = "it is given more than once, and only one could be meant"
MAX_DEPTH: Final = 100  # levels; no body of this interface needs ten, and a sample message hardly more


async def sound(request: Request) -> None:
    """Raises PlatformError 422 for a JSON body with such a value, naming it, and for what is said twice."""
    asked = [name for name, _ in request.query_params.multi_items()]
    if twice := _repeated(asked):
        raise malformed([{"field": f"query.{twice}", "message": TWICE}])
    raw = await request.body()
    if not raw:
        return
    try:
        body = json.loads(raw, object_pairs_hook=_once)
    except _Twice as error:
        raise malformed([{"field": "body", "message": f"{error.args[0]!r}: {TWICE}"}]) from None
    except (ValueError, RecursionError):
        return  # it was refused as no JSON, or the operation takes none
    if not _is_utf8(raw):
        raise malformed([{"field": "body", "message": "it is not UTF-8, as JSON has to be (RFC 8259, 8.1)"}])
    if fault := _fault(body):
        raise malformed([{"field": "body", "message": fault}])


class _Twice(Exception):
    """A name that an object has more than once."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if twice := _repeated([name for name, _ in pairs]):
        raise _Twice(twice[:SHOWN])
    return dict(pairs)


def _repeated(names: Sequence[str]) -> str:
    """The first name that is there more than once; empty where none is."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name or "(empty)"
        seen.add(name)
    return ""


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return not raw.startswith(b"\xef\xbb\xbf") and b"\0" not in raw  # UTF-16 and UTF-32 have it between characters


def _fault(body: Any) -> str:
    """What is wrong with a value, without recursion; empty where nothing is."""
    waiting = [(body, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > MAX_DEPTH:
            return f"it is nested more than {MAX_DEPTH} levels deep"
        if isinstance(value, dict):
            waiting += [(one, depth + 1) for pair in value.items() for one in pair]
        elif isinstance(value, list):
            waiting += [(one, depth + 1) for one in value]
        elif isinstance(value, float) and not math.isfinite(value):
            return "it has a number that is infinite or none"
        elif isinstance(value, str) and not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value):
            return "it has a text with half of a pair of UTF-16, which is no character"
    return ""
