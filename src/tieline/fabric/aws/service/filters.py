"""EC2's filters: which items of a Describe answer the caller asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from tieline.fabric.aws.protocol.errors import AwsError

T = TypeVar("T")
Held = Iterable[str] | str | bool | None  # what an item has under a filter's name
Matches = Callable[[str], object]
TAG = "tag:"
MAX_VALUES = 200  # of all filters of one request (Amazon EC2 user guide, "List and filter your resources")
WILD = re.compile(r"\\.|\*|\?|[^\\*?]+|\\", re.DOTALL)


def tags_of(item: Any) -> Mapping[str, str]:
    """The item's `tags`, where it has any."""
    return getattr(item, "tags", None) or {}


def select(
    items: Iterable[T],
    filters: Sequence[Mapping[str, Any]],
    fields: Mapping[str, Callable[[T], Held]],
    tags: Callable[[T], Mapping[str, str]] = tags_of,
) -> list[T]:
    """The items that match every filter; a filter matches where one of its values does, case sensitive.

    `filters` are parsed parameters, each with Name and Values; `fields` says what an item has under each name.
    `tag:KEY` and `tag-key` come on top. `*` stands for any characters, `?` for one; a backslash makes the next literal.
    Raises InvalidFilter for another name, InvalidParameterValue for a filter without values, FilterLimitExceeded.
    """
    tests = [_test(item, fields, tags) for item in filters]
    if sum(len(item.get("Values", ())) for item in filters) > MAX_VALUES:
        raise AwsError("FilterLimitExceeded", f"The filters have more than {MAX_VALUES} values. Split the request.")
    return [item for item in items if all(test(item) for test in tests)]


def _test(
    item: Mapping[str, Any], fields: Mapping[str, Callable[[T], Held]], tags: Callable[[T], Mapping[str, str]]
) -> Callable[[T], bool]:
    name, values = item.get("Name", ""), item.get("Values", ())
    held = _held(name, fields, tags)
    if not values:
        raise AwsError("InvalidParameterValue", f"The filter '{name}' has no values. Give at least one.")
    plain = frozenset(value for value in values if not re.search(r"[*?\\]", value))
    patterns = [pattern(value) for value in values if value not in plain]

    def test(candidate: T) -> bool:
        texts = _texts(held(candidate))
        return any(text in plain or any(matches(text) for matches in patterns) for text in texts)

    return test


def _held(
    name: str, fields: Mapping[str, Callable[[T], Held]], tags: Callable[[T], Mapping[str, str]]
) -> Callable[[T], Held]:
    if name in fields:
        return fields[name]
    if name == "tag-key":
        return lambda candidate: tags(candidate).keys()
    if name.startswith(TAG) and len(name) > len(TAG):
        key = name.removeprefix(TAG)
        return lambda candidate: tags(candidate).get(key)
    known = ", ".join(sorted({*fields, "tag:KEY", "tag-key"}))
    raise AwsError("InvalidFilter", f"The filter '{name}' is invalid. Known here: {known}.")


def _texts(held: Held) -> Iterable[str]:
    if held is None:
        return ()
    if isinstance(held, bool):
        return ("true" if held else "false",)
    return (held,) if isinstance(held, str) else held


def within(answer: Any, path: str) -> list[str]:
    """What an answer shows at a dotted path of members, through every list on the way, as a filter compares it."""
    found = [answer]
    for member in path.split("."):
        found = [item.get(member) for item in _flat(found)]
    return [("true" if item else "false") if isinstance(item, bool) else str(item) for item in _flat(found)]


def _flat(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        if isinstance(item, list):
            yield from item
        elif item is not None:
            yield item


@lru_cache(maxsize=512)
def pattern(value: str) -> Matches:
    """A wildcard value as a test of a whole text, in time linear in the text for each `*`.

    What follows a `*` is matched at its first place and never tried again (an atomic group), which is enough for
    wildcards and keeps a hostile value from running for hours.
    """
    pieces: list[str] = [""]
    for token in WILD.findall(value):
        if token == "*":
            pieces.append("")
        else:
            pieces[-1] += (
                "." if token == "?" else re.escape(token[1:] if len(token) == 2 and token[0] == "\\" else token)
            )
    first, *rest = pieces
    if not rest:
        return re.compile(first, re.DOTALL).fullmatch
    middle = "".join(f"(?>.*?{piece})" for piece in rest[:-1] if piece)
    return re.compile(f"{first}{middle}.*{rest[-1]}", re.DOTALL).fullmatch
