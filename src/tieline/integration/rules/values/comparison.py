"""How two values compare: one table of kinds, as in EMQX (docs/rules.md shows it).

Numbers compare by value, texts and booleans among themselves. A text and a number compare as numbers, and it is a
failure where the text is none; a text and a boolean as texts. Arrays and maps compare part by part. NULL compares with
nothing, every answer being false. Other kinds differ: `!=` is true, every other answer is false. IN and CASE ask for
exactly the same: no text is a number there, and 1 is not 1.0.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from tieline.integration.messages.topics import filter_fault, matches
from tieline.integration.rules.values.errors import RuleFailure
from tieline.integration.rules.values.texts import number_of
from tieline.integration.rules.values.values import NUMBERS, kind

Pair = tuple[Any, Any]
_PLAIN: Final = frozenset({int, float, str, bool, bytes})
_TEXTS: Final = frozenset({str, bytes})
_WORDS: Final = {True: "true", False: "false"}
#: The places of kinds in Erlang's order of terms, for the parts of arrays and maps:
#: https://www.erlang.org/doc/system/expressions.html#term-comparisons
_ORDER: Final = {int: 0, float: 0, bool: 1, type(None): 1, dict: 2, list: 3, str: 4, bytes: 4}
_ATOMS: Final = {False: "false", None: "null", True: "true"}


def _number(left: Any, right: Any) -> Pair:
    """A text beside a number."""
    try:
        return (left, number_of(right)) if left.__class__ in NUMBERS else (number_of(left), right)
    except RuleFailure as error:
        raise RuleFailure(f"{kind(left)} does not compare with {kind(right)}: {error}") from None


def _words(left: Any, right: Any) -> Pair:
    """A text beside a boolean."""
    return _octets(_word(left), _word(right))


def _word(value: Any) -> Any:
    return _WORDS[value] if value.__class__ is bool else value


def _octets(left: Any, right: Any) -> Pair:
    """A text beside bytes."""
    if left.__class__ is right.__class__:
        return left, right
    return (left.encode() if left.__class__ is str else left), (right.encode() if right.__class__ is str else right)


def _parts(left: Any, right: Any) -> Pair:
    """Two arrays or two maps: as their order says."""
    return _rank(left, right), 0


#: What two values of different classes, or two containers, are compared as.
_COMPARED_AS: Final[dict[tuple[type, type], Callable[[Any, Any], Pair]]] = {
    **{(a, b): lambda left, right: (left, right) for a in NUMBERS for b in NUMBERS},
    **{(a, b): _number for a in NUMBERS for b in _TEXTS},
    **{(b, a): _number for a in NUMBERS for b in _TEXTS},
    **{(bool, b): _words for b in _TEXTS},
    **{(b, bool): _words for b in _TEXTS},
    (str, bytes): _octets,
    (bytes, str): _octets,
    (list, list): _parts,
    (dict, dict): _parts,
}


def _comparison(compare: Callable[[Any, Any], bool], otherwise: bool = False) -> Callable[[Any, Any], bool]:
    """A comparison; `otherwise` is its answer for kinds that the table does not have."""

    def compared(left: Any, right: Any) -> bool:
        if left.__class__ is right.__class__ and left.__class__ in _PLAIN:
            return compare(left, right)
        as_pair = _COMPARED_AS.get((left.__class__, right.__class__))
        if as_pair is None:
            return otherwise and left is not None and right is not None
        return compare(*as_pair(left, right))

    return compared


equal = _comparison(operator.eq)
unequal = _comparison(operator.ne, otherwise=True)
less = _comparison(operator.lt)
greater = _comparison(operator.gt)
at_most = _comparison(operator.le)
at_least = _comparison(operator.ge)


def _rank(left: Any, right: Any) -> int:
    """Less than 0, 0 or more than 0, as the left value is before, the same as or behind the right one."""
    a, b = _ORDER[left.__class__], _ORDER[right.__class__]
    if a != b:
        return a - b
    if a == 2:
        return _rank_of_maps(left, right)
    if a == 3:
        ranks = (_rank(x, y) for x, y in zip(left, right, strict=False))
        return next((rank for rank in ranks if rank), len(left) - len(right))
    one, other = (_ATOMS[left], _ATOMS[right]) if a == 1 else _octets(left, right) if a == 4 else (left, right)
    return int(one > other) - int(one < other)


def _rank_of_maps(left: dict[str, Any], right: dict[str, Any]) -> int:
    """By the number of keys, then by the keys, then by the values."""
    if len(left) != len(right):
        return len(left) - len(right)
    keys, others = sorted(left), sorted(right)
    return _rank(keys, others) or _rank([left[key] for key in keys], [right[key] for key in keys])


def same(left: Any, right: Any) -> bool:
    """Equal without any conversion, 1 and 1.0 being equal, and NULL equal to NULL: the function `eq`."""
    return _rank(left, right) == 0


def exactly(left: Any, right: Any) -> bool:
    """Of the same kind and the same value, a whole number being no fraction; NULL is NULL."""
    a, b = left.__class__, right.__class__
    if a is not b:
        return a in _TEXTS and b in _TEXTS and operator.eq(*_octets(left, right))
    if a is list:
        return len(left) == len(right) and all(map(exactly, left, right))
    if a is dict:
        return left.keys() == right.keys() and all(exactly(value, right[key]) for key, value in left.items())
    return bool(left == right)


def one_of(needle: Any, candidates: tuple[Any, ...]) -> bool:
    """`needle in (…)`; NULL is in nothing."""
    if needle is None:
        return False
    return any(exactly(needle, candidate) for candidate in candidates)


def chosen(subject: Any, value: Any) -> bool:
    """Whether `CASE subject WHEN value` is this one; NULL is none."""
    return subject is not None and exactly(subject, value)


def topic_matches(topic: Any, filter: Any) -> bool:
    """`topic =~ filter`; false with NULL, or where the filter is none. Raises RuleFailure for what is no text."""
    if topic is None or filter is None:
        return False
    for value in (topic, filter):
        if not isinstance(value, (str, bool)):
            raise RuleFailure(f"=~ compares a topic with a filter, not {kind(topic)} with {kind(filter)}")
    return not filter_fault(_word(filter)) and matches(_word(filter), _word(topic))
