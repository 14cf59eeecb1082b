"""MQTT topic filters: what is valid, what matches what, and an index from a topic to the filters that match it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from itertools import combinations
from typing import Generic, TypeVar

MAX_BYTES = 65535  # MQTT 5, 4.7.3: a topic is a UTF-8 string with a two-byte length
KNOWN_TOPICS = 100_000  # topics whose answer is remembered; more than this and the memory starts afresh

V = TypeVar("V", bound=Hashable)


def filter_fault(filter: str) -> str:
    """What is wrong with a topic filter, in words; empty where it is valid (MQTT 5, 4.7)."""
    if not filter or "\0" in filter or len(filter.encode(errors="replace")) > MAX_BYTES:
        return "a topic filter has 1 to 65535 bytes and no NUL character"
    levels = filter.split("/")
    for position, level in enumerate(levels):
        if "#" in level and (level != "#" or position != len(levels) - 1):
            return "'#' stands alone as the last level"
        if "+" in level and level != "+":
            return "'+' stands alone in its level"
    return ""


def matches(filter: str, topic: str) -> bool:
    """Whether a valid filter matches a topic name. A first level with `$` is matched by the same name only."""
    return matcher(filter)(topic)


def matcher(filter: str) -> Callable[[str], bool]:
    """`matches` for a filter that is asked about often."""
    wanted = filter.split("/")
    rest = wanted[-1] == "#"
    if rest:
        wanted = wanted[:-1]
    wild = filter[0] in "+#"

    def match(topic: str) -> bool:
        if wild and topic[:1] == "$":
            return False
        levels = topic.split("/")
        if len(levels) < len(wanted) or (not rest and len(levels) > len(wanted)):
            return False
        return all(want in ("+", level) for want, level in zip(wanted, levels, strict=False))

    return match


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that `narrow` matches is matched by `wide` as well."""
    if wide[0] in "+#" and narrow[0] == "$":
        return False
    a, b = wide.split("/"), narrow.split("/")
    for position, level in enumerate(a):
        if level == "#":
            return True
        if position == len(b) or b[position] == "#" or level not in ("+", b[position]):
            return False
    return len(a) == len(b)


def overlap(one: str, other: str) -> bool:
    """Whether some topic is matched by both filters."""
    if (one[0] in "+#" and other[0] == "$") or (other[0] in "+#" and one[0] == "$"):
        return False
    a, b = one.split("/"), other.split("/")
    for left, right in zip(a, b, strict=False):
        if "#" in (left, right):
            return True
        if left != right and "+" not in (left, right):
            return False
    longer = a if len(a) > len(b) else b
    return len(a) == len(b) or longer[min(len(a), len(b)) :] == ["#"]


def widest(filters: Iterable[str]) -> list[str]:
    """The filters without those that another one covers, sorted: one subscription each is enough."""
    known = sorted(set(filters))
    return [f for f in known if not any(other != f and covers(other, f) for other in known)]


def disjoint(filters: Iterable[str]) -> list[str]:
    """Filters that match at least what the given ones match, and of which no two match the same topic.

    A broker may deliver a message once for each subscription that matches it (MQTT 5, 3.3.4), as Mosquitto does, and
    then it would become several rows. Two filters that overlap are therefore replaced by one that is wide enough.
    """
    known = widest(filters)
    while pair := next(((a, b) for a, b in combinations(known, 2) if overlap(a, b)), None):
        known = widest([*known, _common(*pair)])
    return known


def _common(one: str, other: str) -> str:
    """The narrowest filter that covers both."""
    a, b = one.split("/"), other.split("/")
    levels: list[str] = []
    for left, right in zip(a, b, strict=False):
        if "#" in (left, right):
            return "/".join([*levels, "#"])
        levels.append(left if left == right else "+")
    return "/".join(levels if len(a) == len(b) else [*levels, "#"])


class _Node(Generic[V]):
    __slots__ = ("children", "here", "rest")

    def __init__(self) -> None:
        self.children: dict[str, _Node[V]] = {}
        self.here: list[V] = []
        self.rest: list[V] = []


class Index(Generic[V]):
    """Values by topic filter; `lookup` costs the depth of the topic, and a dictionary hit for a topic seen before."""

    def __init__(self, entries: Iterable[tuple[str, V]]) -> None:
        self._root: _Node[V] = _Node()
        self._order: dict[V, int] = {}
        self._same: dict[tuple[V, ...], tuple[V, ...]] = {}
        self.known: dict[str, tuple[V, ...]] = {}  # answers by topic, for a caller in a hurry
        for filter, value in entries:
            self._order.setdefault(value, len(self._order))
            self._insert(filter, value)

    def _insert(self, filter: str, value: V) -> None:
        node = self._root
        for level in filter.split("/"):
            if level == "#":
                node.rest.append(value)
                return
            node = node.children.setdefault(level, _Node())
        node.here.append(value)

    def lookup(self, topic: str) -> tuple[V, ...]:
        """Each value with a matching filter once, in the order in which the values were given."""
        found = self.known.get(topic)
        if found is None:
            values = tuple(sorted(self._search(topic), key=self._order.__getitem__))
            found = self._same.setdefault(values, values)  # one tuple for all topics with the same answer
            if len(self.known) >= KNOWN_TOPICS:
                self.known.clear()
            self.known[topic] = found
        return found

    def _search(self, topic: str) -> set[V]:
        found: set[V] = set()
        nodes = [self._root]
        internal = topic[:1] == "$"
        for depth, level in enumerate(topic.split("/")):
            following = []
            for node in nodes:
                wild = depth > 0 or not internal
                if wild:
                    found.update(node.rest)
                for key in (level, "+") if wild else (level,):
                    if key in node.children:
                        following.append(node.children[key])
            nodes = following
        for node in nodes:
            found.update(node.here)
            found.update(node.rest)  # "a/#" matches "a" itself
        return found
