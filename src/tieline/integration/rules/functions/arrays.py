"""Functions on arrays and maps."""

from __future__ import annotations

from typing import Any, Final

from tieline.integration.rules import values
from tieline.integration.rules.errors import RuleFailure
from tieline.integration.rules.functions.registry import array, function, mapping, text, whole

ARRAYS: Final = "Arrays"
MAPS: Final = "Maps"


@function(ARRAYS, ("nth(2, [1, 2, 3])", "2"), ("nth(9, [1])", "payload.missing"))
def nth(index: Any, items: Any) -> Any:
    """The element at a place, counted from 1; NULL where there is none."""
    if whole(index) < 1:
        raise RuleFailure("places count from 1")
    return values.element(array(items), index)


@function(ARRAYS, ("length([1, 2, 3])", "3"))
def length(items: Any) -> int:
    """The number of elements."""
    return len(array(items))


@function(ARRAYS, ("sublist(2, [1, 2, 3, 4])", "[1, 2]"), ("sublist(2, 3, [1, 2, 3, 4])", "[2, 3, 4]"))
def sublist(first: Any, second: Any, third: Any = None) -> list[Any]:
    """The first so many elements, or so many from a place, counted from 1: `sublist(place, length, array)`."""
    begin, size, items = (1, first, second) if third is None else (first, second, third)
    if whole(begin) < 1 or whole(size) < 0:
        raise RuleFailure("places count from 1, and a length is not negative")
    return array(items)[begin - 1 : begin - 1 + size]


@function(ARRAYS, ("first([1, 2])", "1"))
def first(items: Any) -> Any:
    """The first element; NULL of an empty array."""
    return values.element(array(items), 1)


@function(ARRAYS, ("last([1, 2])", "2"))
def last(items: Any) -> Any:
    """The last element; NULL of an empty array."""
    return values.element(array(items), -1)


@function(ARRAYS, ("contains(2, [1, 2])", "true"), ("contains('2', [1, 2])", "false"))
def contains(x: Any, items: Any) -> bool:
    """Whether an element is the same."""
    return any(values.same(x, item) for item in array(items))


def _keys(key: Any) -> list[str]:
    return text(key).split(".")


@function(MAPS, ("map_get('a.b', json_decode('{\"a\":{\"b\":1}}'))", "1"), ("map_get('z', map_new(), 2)", "2"))
def map_get(key: Any, of: Any, default: Any = None) -> Any:
    """The value under a key, or under keys with dots between them; the default where there is none."""
    found = of
    for part in _keys(key):
        found = values.get(found, part)
    return default if found is None else found


@function(MAPS, ("map_put('a.b', 1, map_new())", 'json_decode(\'{"a":{"b":1}}\')'))
def map_put(key: Any, value: Any, of: Any) -> dict[str, Any]:
    """A map with a value under a key, or under keys with dots between them."""
    head, *rest = _keys(key)
    inner = mapping(of).get(head)
    return {**of, head: map_put(".".join(rest), value, inner if isinstance(inner, dict) else {}) if rest else value}


@function(MAPS, ("mget('a.b', json_decode('{\"a.b\":1}'))", "1"))
def mget(key: Any, of: Any, default: Any = None) -> Any:
    """The value under exactly this key; the default where there is none."""
    found = values.get(of, text(key))
    return default if found is None else found


@function(MAPS, ("mput('a.b', 1, map_new())", "json_decode('{\"a.b\":1}')"))
def mput(key: Any, value: Any, of: Any) -> dict[str, Any]:
    """A map with a value under exactly this key."""
    return {**mapping(of), text(key): value}


@function(MAPS, ("map_new()", "json_decode('{}')"))
def map_new() -> dict[str, Any]:
    """A map without anything in it."""
    return {}


@function(MAPS, ('map_keys(json_decode(\'{"a":1,"b":2}\'))', "['a', 'b']"))
def map_keys(of: Any) -> list[str]:
    """The keys."""
    return list(mapping(of))


@function(MAPS, ('map_values(json_decode(\'{"a":1,"b":2}\'))', "[1, 2]"))
def map_values(of: Any) -> list[Any]:
    """The values."""
    return list(mapping(of).values())


@function(MAPS, ("map_to_entries(json_decode('{\"a\":1}'))", '[json_decode(\'{"key":"a","value":1}\')]'))
def map_to_entries(of: Any) -> list[dict[str, Any]]:
    """An array of maps with `key` and `value`."""
    return [{"key": key, "value": value} for key, value in mapping(of).items()]


@function(MAPS, ("map_size(json_decode('{\"a\":1}'))", "1"))
def map_size(of: Any) -> int:
    """The number of keys."""
    return len(mapping(of))
