"""Functions on arrays and maps."""

from __future__ import annotations

from typing import Any, Final

from tieline.integration.rules.registry import array, function, mapping, text, whole
from tieline.integration.rules.syntax.places import put
from tieline.integration.rules.values import comparison, values
from tieline.integration.rules.values.bounds import grown
from tieline.integration.rules.values.errors import Unfit
from tieline.integration.rules.values.texts import written

ARRAYS: Final = "Arrays"
MAPS: Final = "Maps"


@function(ARRAYS, ("nth(2, [1, 2, 3])", "2"), ("nth(9, [1])", "payload.missing"))
def nth(index: Any, items: Any) -> Any:
    """The element at a place, counted from 1; NULL where there is none."""
    if whole(index) < 1:
        raise Unfit("places count from 1")
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
        raise Unfit("places count from 1, and a length is not negative")
    return array(items)[begin - 1 : begin - 1 + size]


@function(ARRAYS, ("first([1, 2])", "1"))
def first(items: Any) -> Any:
    """The first element; NULL of an empty array."""
    return values.element(array(items), 1)


@function(ARRAYS, ("last([1, 2])", "2"))
def last(items: Any) -> Any:
    """The last element; NULL of an empty array."""
    return values.element(array(items), -1)


@function(ARRAYS, ("contains(2, [1, 2])", "true"), ("contains('2', [1, 2])", "false"), ("contains(1, [1.0])", "false"))
def contains(x: Any, items: Any) -> bool:
    """Whether an element is exactly the same."""
    return any(comparison.exactly(x, item) for item in array(items))


def _keys(key: Any) -> list[str]:
    return text(key).split(".")


def _ordered(of: Any) -> list[tuple[str, Any]]:
    """The keys and values in the order of the keys, as Erlang has small maps."""
    return sorted(mapping(of).items(), key=lambda item: item[0])


@function(
    MAPS,
    ("map_get('a.b', json_decode('{\"a\":{\"b\":1}}'))", "1"),
    ("map_get('z', map_new(), 2)", "2"),
    unsettled=True,
)
def map_get(key: Any, of: Any, default: Any = values.MISSING) -> Any:
    """The value under a key, or under keys with dots between them; the default where there is none."""
    found = of
    for part in _keys(key):
        found = values.get(found, part, values.MISSING)
    return default if found is values.MISSING else found


@function(MAPS, ("map_put('a.b', 1, map_new())", 'json_decode(\'{"a":{"b":1}}\')'))
def map_put(key: Any, value: Any, of: Any) -> dict[str, Any]:
    """A map, or one that its JSON text or NULL stands for, with a value under a key, or under keys with dots between
    them.
    """
    known = {} if of is None else mapping(of)
    return grown(dict(put(known, tuple(_keys(key)), value)))


@function(MAPS, ("mget('a.b', json_decode('{\"a.b\":1}'))", "1"), unsettled=True)
def mget(key: Any, of: Any, default: Any = values.MISSING) -> Any:
    """The value under exactly this key; the default where there is none."""
    return values.get(of, key, default) if isinstance(key, str) else default


@function(MAPS, ("mput('a.b', 1, map_new())", "json_decode('{\"a.b\":1}')"))
def mput(key: Any, value: Any, of: Any) -> dict[str, Any]:
    """A map, or one that its JSON text or NULL stands for, with a value under exactly this key."""
    return grown({**({} if of is None else mapping(of)), text(key): value})


@function(MAPS, ("map_new()", "json_decode('{}')"))
def map_new() -> dict[str, Any]:
    """A map without anything in it."""
    return {}


@function(MAPS, ('map_keys(json_decode(\'{"a":1,"b":2}\'))', "['a', 'b']"))
def map_keys(of: Any) -> list[str]:
    """The keys, in order."""
    return [key for key, _ in _ordered(of)]


@function(MAPS, ('map_values(json_decode(\'{"a":1,"b":2}\'))', "[1, 2]"))
def map_values(of: Any) -> list[Any]:
    """The values, in the order of their keys."""
    return [value for _, value in _ordered(of)]


@function(MAPS, ("map_to_entries(json_decode('{\"a\":1}'))", '[json_decode(\'{"key":"a","value":1}\')]'))
def map_to_entries(of: Any) -> list[dict[str, Any]]:
    """An array of maps with `key` and `value`, in the order of the keys."""
    return [{"key": key, "value": value} for key, value in _ordered(of)]


@function(MAPS, ("map_size(json_decode('{\"a\":1}'))", "1"))
def map_size(of: Any) -> int:
    """The number of keys."""
    return len(mapping(of))


@function(
    MAPS,
    ("map_to_redis_hset_args('{\"a\": 1}')", "['map_to_redis_hset_args', 'a', '1']"),
    ("map_to_redis_hset_args('x')", "['map_to_redis_hset_args']"),
)
def map_to_redis_hset_args(of: Any) -> list[str | bytes]:
    """The keys and values of a map, or of its JSON text, in a row as texts behind the function's name, for Redis's
    HSET; what is no text, number or boolean is left out.
    """
    known = values.opened(of)
    found: list[str | bytes] = ["map_to_redis_hset_args"]
    for key, value in sorted(known.items()) if isinstance(known, dict) else ():
        if isinstance(value, (str, bytes, bool, int, float)):
            found += [key, written(value)]
    return found
