"""Identifiers, topics, the environment, and values that rules keep between messages."""

from __future__ import annotations

import os
import uuid
from collections import OrderedDict
from typing import Any, Final

from tieline.integration.rules.functions.registry import array, function, text
from tieline.integration.rules.values import topic_matches

GROUP: Final = "Identifiers, topics and memory"
PREFIX: Final = "EMQXVAR_"  # of the environment variables that rules may read, as in EMQX
MAX_KEYS: Final = 100_000  # in the memory of rules; the one that was written longest ago makes room

_memory: OrderedDict[str, Any] = OrderedDict()


@function(GROUP, ("strlen(uuid_v4())", "36"))
def uuid_v4() -> str:
    """A new random UUID."""
    return str(uuid.uuid4())


@function(GROUP, ("strlen(uuid_v4_no_hyphen())", "32"))
def uuid_v4_no_hyphen() -> str:
    """A new random UUID without hyphens."""
    return uuid.uuid4().hex


@function(GROUP, ("contains_topic(['t/1', 't/#'], 't/1')", "true"), ("contains_topic(['t/#'], 't/1')", "false"))
def contains_topic(filters: Any, topic: Any) -> bool:
    """Whether exactly this topic is in an array."""
    return text(topic) in array(filters)


@function(GROUP, ("contains_topic_match(['t/#'], 't/1')", "true"))
def contains_topic_match(filters: Any, topic: Any) -> bool:
    """Whether a topic filter of an array matches the topic."""
    return any(topic_matches(text(topic), filter) for filter in array(filters))


@function(GROUP, ("getenv('NOT_THERE')", "payload.missing"))
def getenv(name: Any) -> str | None:
    """The environment variable `EMQXVAR_` and this name of the integration's process; NULL where it is not set."""
    return os.environ.get(PREFIX + text(name))


@function(GROUP, ("kv_store_put('last', 5)", "5"))
def kv_store_put(key: Any, value: Any) -> Any:
    """Keep a value under a key until the process ends, and give it back. All rules share the memory."""
    _memory[text(key)] = value
    _memory.move_to_end(key)
    if len(_memory) > MAX_KEYS:
        _memory.popitem(last=False)
    return value


@function(GROUP, ("kv_store_get('never', 0)", "0"))
def kv_store_get(key: Any, default: Any = None) -> Any:
    """The value that is kept under a key; the default, or NULL, where there is none."""
    return _memory.get(text(key), default)


@function(GROUP, ("kv_store_del('last')", "payload.missing"))
def kv_store_del(key: Any) -> None:
    """Forget a key."""
    _memory.pop(text(key), None)


def forget() -> None:
    """Forget every key."""
    _memory.clear()


@function(GROUP, ("is_null(null())", "true"))
def null() -> None:
    """NULL."""
