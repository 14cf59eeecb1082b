"""Secrets that a resource names instead of holding: `${env:TIELINE_SECRET_…}` is a variable of the agent's environment.

Only variables with this prefix: whoever may write a resource must not read the rest of the agent's environment. Where
there is a variable of the same name with `_SERVERS` behind it, its secret is told to the servers in it only: hosts, or
host:port, with commas between them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec

from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.base.kind import Action, Field, Resource, Value
from tieline.integration.sinks.base.network import addresses

PREFIX: Final = "TIELINE_SECRET_"
SERVERS: Final = "_SERVERS"  # behind the name of a variable: to whom its secret may be told
_REFERENCE: Final = re.compile(r"\$\{env:(\w+)\}")
Struct = TypeVar("Struct", bound=Value)


def resolved(resource: Resource, fields: Sequence[Field], environment: Mapping[str, str] = os.environ) -> Resource:
    """The resource with the secrets themselves; raises Unavailable for a variable that is not there."""
    servers = [resource.address, *getattr(resource, "address_map", {}).values()]
    for field in fields:
        if field.secret:
            resource = _put(resource, field.name.split("."), environment, servers, resource.PORT)
    return resource


def _put(
    struct: Struct, keys: Sequence[str], environment: Mapping[str, str], servers: Sequence[str], port: int
) -> Struct:
    value: Any = getattr(struct, keys[0])
    if len(keys) > 1:
        found = _put(value, keys[1:], environment, servers, port)
    else:
        found = _value(value, environment, servers, port)
    return struct if found == value else msgspec.structs.replace(struct, **{keys[0]: found})


def _value(text: str, environment: Mapping[str, str], servers: Sequence[str], port: int) -> str:
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
    if (known := environment.get(name + SERVERS)) is not None:
        _check_servers(name, [one.strip().lower() for one in known.split(",")], servers, port)
    return environment[name]


def _check_servers(name: str, known: Sequence[str], servers: Sequence[str], port: int) -> None:
    """Raises Unavailable where a secret would be told to a server that its owner has not named."""
    try:
        places = [place for server in servers for place in addresses(server, port or 1)]
    except ValueError as error:
        raise Unavailable("address", str(error), "write host:port", str(error)) from error
    for host, number in places:
        if host.lower() not in known and f"{host.lower()}:{number}" not in known:
            hint = f"name another server, or add it to {name}{SERVERS} where the agent runs"
            said = f"{name}{SERVERS} does not name {host}:{number}"
            raise Unavailable("login", f"the variable {name} is not for {host}:{number}", hint, said)


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
