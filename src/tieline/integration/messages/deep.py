"""JSON of values that have more levels than JSON's usual writers go down, without recursion."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


class _Text(str):
    """What is written as it is."""


def deep_json(value: Any, default: Callable[[Any], Any]) -> str:
    """A value as JSON, however deep it is; `default` makes of a value that JSON does not have one that it has."""
    found: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, _Text):
            found.append(one)
        elif isinstance(one, dict):
            waiting.append(_Text("}"))
            for place, (name, part) in enumerate(reversed(one.items())):
                comma = "," if place < len(one) - 1 else ""
                waiting += (part, _Text(f"{comma}{json.dumps(str(name), ensure_ascii=False)}:"))
            found.append("{")
        elif isinstance(one, list | tuple):
            waiting.append(_Text("]"))
            for place, part in enumerate(reversed(one)):
                waiting += (part, _Text("," if place < len(one) - 1 else ""))
            found.append("[")
        else:
            found.append(json.dumps(one, default=default, ensure_ascii=False))
    return "".join(found)
