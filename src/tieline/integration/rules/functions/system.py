"""Identifiers, topics, the environment, and values that rules keep between messages."""

from __future__ import annotations

import os
import uuid
from collections import OrderedDict
from typing import Any, Final

from tieline.integration.rules.registry import array, function, text
from tieline.integration.rules.values.bounds import MAX_KEPT, weight
from tieline.integration.rules.values.comparison import topic_matches
from tieline.integration.rules.values.values import MISSING

GROUP: Final = "Identifiers, topics and memory"
PREFIX: Final = "EMQXVAR_"  # of the environment variables that rules may read, as in EMQX
MAX_KEYS: Final = 100_000  # in the memory of rules; the one that was written longest ago makes room


@function(GROUP, ("strlen(uuid_v4())", "36"))
def uuid_v4() -> str:
    """A new random UUID."""
    return str(uuid.uuid4())


@function(GROUP, ("strlen(uuid_v4_no_hyphen())", "32"))
def uuid_v4_no_hyphen() -> str:
    """A new random UUID without hyphens."""
    return uuid.uuid4().hex


@function(GROUP, ("contains_topic(['t/1', 't/#'], 't/1')", "true"), ("contains_topic(['t/#'], 't/1')", "false"))
def contains_topic(filters: Any, topic: Any, qos: Any = None) -> bool:
    """Whether exactly this topic is in an array of texts; with a quality of service false, as texts have none."""
    return text(topic) in array(filters) and qos is None


@function(GROUP, ("contains_topic_match(['t/#'], 't/1')", "true"))
def contains_topic_match(filters: Any, topic: Any, qos: Any = None) -> bool:
    """Whether a topic filter of an array of texts matches the topic; with a quality of service false, as texts have
    none.
    """
    named = [filter for filter in array(filters) if isinstance(filter, str)]
    return any(topic_matches(text(topic), filter) for filter in named) and qos is None


@function(GROUP, ("getenv('NOT_THERE')", "''"))
def getenv(name: Any) -> str:
    """The environment variable `EMQXVAR_` and this name of the integration's process; empty where it is not set."""
    return os.environ.get(PREFIX + text(name), "")


class Store:
    """Values that stay until the process ends; what was put there longest ago makes room."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[Any, int]] = OrderedDict()  # with the size of each
        self._size = 0

    def put(self, key: str, value: Any) -> Any:
        """Keep a value, and give back what was there; raises Excess for one that is too large."""
        size = len(key) + weight(value, MAX_KEPT // 4)
        before = self.delete(key)
        self._kept[key] = value, size
        self._size += size
        while len(self._kept) > MAX_KEYS or self._size > MAX_KEPT:
            self.delete(next(iter(self._kept)))
        return before

    def get(self, key: str, default: Any = MISSING) -> Any:
        return self._kept[key][0] if key in self._kept else default

    def delete(self, key: str) -> Any:
        """Forget a key, and give back what was there."""
        value, size = self._kept.pop(key, (MISSING, 0))
        self._size -= size
        return value

    def clear(self) -> None:
        """Forget every key."""
        self._kept.clear()
        self._size = 0


_memory: Final = Store()
_process: Final = Store()


@function(GROUP, ("kv_store_put('last', 5)", "5"))
def kv_store_put(key: Any, value: Any) -> Any:
    """Keep a value under a key until the process ends, and give it back. All rules share the memory."""
    _memory.put(text(key), value)
    return value


@function(GROUP, ("kv_store_get('never', 0)", "0"), unsettled=True)
def kv_store_get(key: Any, default: Any = MISSING) -> Any:
    """The value that is kept under a key; the default, or NULL, where there is none."""
    return _memory.get(text(key), default)


@function(GROUP, ("kv_store_del('last')", "payload.missing"))
def kv_store_del(key: Any) -> None:
    """Forget a key."""
    _memory.delete(text(key))


def forget() -> None:
    """Forget every key."""
    _memory.clear()
    _process.clear()


@function(GROUP, ("proc_dict_put('new', 5)", None), unsettled=True)
def proc_dict_put(key: Any, value: Any) -> Any:
    """Keep a value under a key until the process ends, apart from `kv_store_put`, and give back the one before."""
    return _process.put(text(key), value)


@function(GROUP, ("proc_dict_get('never')", "payload.missing"), unsettled=True)
def proc_dict_get(key: Any) -> Any:
    """The value that `proc_dict_put` kept under a key; NULL where there is none."""
    return _process.get(text(key))


@function(GROUP, ("proc_dict_del('never')", "payload.missing"), unsettled=True)
def proc_dict_del(key: Any) -> Any:
    """Forget a key of `proc_dict_put`, and give back its value."""
    return _process.delete(text(key))


@function(GROUP, ("is_null(null())", "true"), unsettled=True)
def null() -> Any:
    """NULL, as what is missing."""
    return MISSING
