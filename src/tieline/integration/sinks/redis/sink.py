"""Redis, alone, behind sentinels or as a cluster: each output one command, each batch one MULTI … EXEC where it can be.

A transaction of Redis does not undo: a command that fails leaves the others in, and the rows of those are told as
written. A cluster has no transaction over its nodes; there each command stands for itself.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Protocol

from tieline.integration.rules.compile.template import Path, exact_bytes, lookup, text_template
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base.failures import Rejected
from tieline.integration.sinks.base.kind import Action, Kind, label
from tieline.integration.sinks.base.network import unreachable
from tieline.integration.sinks.base.outcome import rendered
from tieline.integration.sinks.redis.servers import Redis

Commands = Callable[[Sequence[dict[str, Any]]], list[tuple[str | bytes, ...]]]


class RedisCommand(Action, frozen=True, kw_only=True, tag="redis"):
    """Runs a command for each output of the rule."""

    command_template: Annotated[tuple[str, ...] | str, label("Redis command template", kind="text")]

    def paths(self) -> tuple[Path, ...]:
        return tuple(path for word in words(self.command_template) for path in text_template(word).paths)


def words(template: Sequence[str] | str) -> tuple[str, ...]:
    """The words of a command, split before any value is in it, so that none adds a word; raises TemplateError."""
    try:
        found = tuple(shlex.split(template)) if isinstance(template, str) else tuple(template)
    except ValueError as error:
        raise TemplateError(f"the command cannot be split into words: {error}") from None
    if not found:
        raise TemplateError("the command template is empty")
    if text_template(found[0]).paths:
        raise TemplateError(f"{found[0]}: which command is run cannot depend on a message", found[0])
    return found


def commands_of(template: Sequence[str]) -> Commands:
    """The function that makes commands of outputs. Generated, so that a word that never changes costs nothing."""
    parts = ", ".join(_expression(word) for word in template)
    names: dict[str, Any] = {"lookup": lookup, "data": exact_bytes}
    exec(f"def commands(outputs):\n    return [({parts},) for o in outputs]", names)
    made: Commands = names["commands"]
    return made


def _expression(word: str) -> str:
    """The source of what makes a word of an output `o`."""
    parts = [part for part in text_template(word).parts if part != ""]
    if len(parts) == 1:  # a text is packed as it is
        return (
            repr(parts[0])
            if isinstance(parts[0], str)
            else f"(v if (v := {_read(parts[0])}).__class__ is str else data(v))"
        )
    return (
        " + ".join(repr(part.encode()) if isinstance(part, str) else f"data({_read(part)})" for part in parts) or "''"
    )


def _read(keys: Path) -> str:
    return f"o.get({keys[0]!r})" if len(keys) == 1 else f"lookup(o, {keys!r})"


class Client(Protocol):
    """A way to run commands."""

    async def execute(self, commands: Sequence[tuple[str | bytes, ...]]) -> dict[int, str]:
        """Run commands: what is wrong with those that the server refused, by their place; raises Unavailable."""
        ...

    async def check(self, templates: Sequence[Sequence[str]]) -> None:
        """Connect, and ask for each command whether it could be run; raises Unavailable."""
        ...

    async def close(self) -> None: ...


class RedisSink:
    """The servers, and at most `pool_size` connections to each of them."""

    def __init__(self, resource: Redis) -> None:
        self.resource = resource
        self.client = _client(resource)

    def writer(self, action: Action) -> RedisWriter:
        if not isinstance(action, RedisCommand):
            raise TemplateError(f"{type(action).__name__} cannot write to Redis")
        return RedisWriter(self, action)

    async def check(self, actions: Sequence[Action]) -> None:
        writers = [self.writer(action) for action in actions]
        await self.client.check([writer.words for writer in writers])

    async def close(self) -> None:
        await self.client.close()


class RedisWriter:
    """One action's command."""

    def __init__(self, sink: RedisSink, action: RedisCommand) -> None:
        self.sink = sink
        self.words = words(action.command_template)
        self._commands = commands_of(self.words)

    async def write(self, outputs: Sequence[dict[str, Any]]) -> None:
        """Run a command for each output; those that the server did not run are told."""
        commands = self._made(outputs)
        try:
            async with asyncio.timeout(self.sink.resource.write_timeout):
                failed = await self.sink.client.execute(commands)
        except TimeoutError as error:
            raise unreachable(error, self.sink.resource.servers, sent=True) from error
        if failed:
            said = next(iter(failed.values()))
            raise Rejected(said, failed, written=[n for n in range(len(outputs)) if n not in failed])

    def _made(self, outputs: Sequence[dict[str, Any]]) -> list[tuple[str | bytes, ...]]:
        """A command for each output; raises Rejected that names those that have none."""
        try:
            return self._commands(outputs)
        except ValueError:
            _, refused = rendered(outputs, lambda output: self._commands([output]))
            raise Rejected(next(iter(refused.values())), refused) from None


def _client(resource: Redis) -> Client:
    """The client for a resource's type, which loads the library; nothing is connected yet."""
    if resource.redis_type == "cluster":
        from tieline.integration.sinks.redis.cluster import ClusterClient

        return ClusterClient(resource)
    from tieline.integration.sinks.redis.client import MasterClient

    return MasterClient(resource)


KIND: Final = Kind(
    label="Redis, Valkey",
    resource=Redis,
    actions=(RedisCommand,),
    open=RedisSink,
    test="logs in, selects the database, asks for the server's role, and for each command whether the server has it, "
    "takes so many words, and lets the user run it, on the key that the template names",
    tried="Redis 7.0: one, one behind a sentinel with a failover, and a cluster of three",
)
