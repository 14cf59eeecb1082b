"""`Test`: the whole way to a database walked once, changing nothing, and the first hop that fails named."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from tieline.integration.config.shapes import Action, Resource
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks import open_sink
from tieline.integration.sinks.base.failures import Hop, Rejected, Unavailable
from tieline.integration.sinks.base.network import addresses, unreachable
from tieline.integration.sinks.base.reach import open_connection

TIMEOUT: Final = 15.0  # seconds for the whole way, as EMQX waits


class ProbeFailed(Exception):
    """The way stops at `hop`: what is wrong, what to do about it, and the last low-level cause."""

    def __init__(self, hop: Hop, message: str, hint: str, cause: str) -> None:
        super().__init__(f"{hop}: {message}")
        self.hop = hop
        self.message = message
        self.hint = hint
        self.cause = cause


async def probe(resource: Resource, actions: Sequence[Action] = (), timeout: float = TIMEOUT) -> None:
    """Resolve, connect, agree on TLS, log in, open the database, prepare the statements; raises ProbeFailed."""
    way = [f"{resource.address} did not answer in time", "tcp"]
    try:
        async with asyncio.timeout(timeout):
            await _reach(resource)
            way = [
                f"{resource.address} accepts connections, and says nothing",
                "tls" if resource.tls else "login",
            ]
            await _check(resource, actions)
    except TimeoutError as error:
        hint = "check that a server listens there, and that its target is healthy"
        raise ProbeFailed(way[1], way[0], hint, f"no answer within {timeout} s") from error  # type: ignore[arg-type]
    except Unavailable as error:
        raise ProbeFailed(error.hop, error.message, error.hint, error.cause) from error


async def _reach(resource: Resource) -> None:
    """A TCP connection to any of the addresses that any of the servers' names has, and away again."""
    try:
        servers = addresses(resource.address, resource.PORT)
    except ValueError as error:
        raise Unavailable("address", str(error), "write host:port", str(error)) from error
    for place, (host, port) in enumerate(servers, 1):
        try:
            async with asyncio.timeout(resource.connect_timeout):
                _, writer = await open_connection(host, port)
        except (OSError, UnicodeError) as error:
            if place == len(servers):
                raise unreachable(error, f"{host}:{port}") from error
            continue
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return


async def _check(resource: Resource, actions: Sequence[Action]) -> None:
    sink = open_sink(resource)
    try:
        await sink.check(actions)
    except TemplateError as error:
        raise Unavailable("statement", str(error), "correct the template", str(error)) from error
    except Rejected as error:
        raise Unavailable("statement", str(error), "correct the statement", str(error)) from error
    finally:
        await sink.close()
