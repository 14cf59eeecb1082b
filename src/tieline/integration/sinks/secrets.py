"""Secrets that a resource names instead of holding: `${env:TIELINE_SECRET_…}` is a variable of the agent's environment.

Only variables with this prefix: whoever may write a resource must not read the rest of the agent's environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from tieline.integration.sinks.failures import Unavailable
from tieline.integration.sinks.kind import Action, Field, Resource, Value

PREFIX: Final = "TIELINE_SECRET_"
_REFERENCE: Final = re.compile(r"\$\{env:(\w+)\}")
Struct = TypeVar("Struct", bound=Value)


def resolved(resource: Resource, fields: Sequence[Field], environment: Mapping[str, str] = os.environ) -> Resource:
    """The resource with the secrets themselves; raises Unavailable for a variable that is not there."""
    for field in fields:
        if field.secret:
            resource = _put(resource, field.name.split("."), environment)
    return resource


def _put(struct: Struct, keys: Sequence[str], environment: Mapping[str, str]) -> Struct:
    value: Any = getattr(struct, keys[0])
    found = _put(value, keys[1:], environment) if len(keys) > 1 else _value(value, environment)
    return struct if found == value else msgspec.structs.replace(struct, **{keys[0]: found})


def _value(text: str, environment: Mapping[str, str]) -> str:
    reference = _REFERENCE.fullmatch(text)
    if reference is None:
        return text
    name = reference[1]
    if not name.startswith(PREFIX):
        hint = f"name a variable that begins with {PREFIX}"
        raise Unavailable("login", f"the variable {name} may not be read", hint, f"{name} has another prefix")
    if name not in environment:
        hint = "set it where the agent runs, and start the agent again"
        raise Unavailable("login", f"the agent has no variable {name}", hint, f"{name} is not in its environment")
    return environment[name]


class Unusable:
    """The sink of a resource that cannot be used as it is configured; it says why."""

    def __init__(self, why: Unavailable) -> None:
        self._why = why

    def writer(self, action: Action) -> Unusable:  # noqa: ARG002
        return self

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:  # noqa: ARG002
        raise self._why

    async def check(self, actions: Sequence[Action]) -> None:  # noqa: ARG002
        raise self._why

    async def close(self) -> None:
        return
