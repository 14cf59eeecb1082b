"""What no body may have, whatever its operation: nesting that readers give up at, texts and numbers that JSON has not.

Each of them would pass Python's reader, and fail later where it is stored, answered, or told to an agent.
"""

from __future__ import annotations

import math
from typing import Any, Final

from fastapi import Request

from tieline.cloud.problems import malformed

MAX_DEPTH: Final = 100  # levels; no body of this interface needs ten, and a sample message hardly more


async def sound(request: Request) -> None:
    """Raises PlatformError 422 for a JSON body with such a value, naming it."""
    if not await request.body():
        return
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        return  # it was refused as no JSON, or the operation takes none
    if fault := _fault(body):
        raise malformed([{"field": "body", "message": fault}])


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
