"""Putting a value where an alias says: under keys, and at places of arrays, as EMQX does."""

from __future__ import annotations

from typing import Any

from tieline.integration.rules.syntax.syntax import Edge, Path
from tieline.integration.rules.values.values import element, get, opened


def put(container: Any, path: Path, value: Any) -> Any:
    """A copy of the container with a value under the path. Maps and arrays are made on the way; a text of JSON is
    opened.

    An index that the array does not have leaves it as it is. What is no array becomes one with this element alone.
    """
    step, *rest = path
    if rest:
        value = put(_inner(container, step), tuple(rest), value)
    container = opened(container)
    if isinstance(step, str):
        return {**(container if isinstance(container, dict) else {}), step: value}
    return _placed(container, step, value)


def _inner(container: Any, step: str | int | Edge) -> Any:
    if isinstance(step, Edge):
        return None
    return get(container, step) if isinstance(step, str) else element(container, step)


def _placed(array: Any, place: int | Edge, value: Any) -> list[Any]:
    if not isinstance(array, list):
        return [value]
    if isinstance(place, Edge):
        return [value, *array] if place is Edge.HEAD else [*array, value]
    index = place - 1 if place > 0 else place
    if not -len(array) <= index < len(array):
        return array
    return [*array[:index], value, *array[index:][1:]]
