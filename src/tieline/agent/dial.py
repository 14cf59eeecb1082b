"""Looks at a link from where it is used: what its name resolves to here, and which of its ports take a connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

from tieline.agent.protocol import Dial, Dialled, Door


async def dial(question: Dial) -> Dialled:
    """Resolve, then connect to every port at the same time and hang up; no failure is raised, each is told."""
    try:
        async with asyncio.timeout(question.timeout):
            found = await asyncio.get_running_loop().getaddrinfo(
                question.host, None, family=socket.AF_INET, type=socket.SOCK_STREAM
            )
    except (OSError, UnicodeError) as error:
        return Dialled(id=question.id, cause=_words(error, question.timeout))
    addresses = tuple(sorted({entry[4][0] for entry in found if isinstance(entry[4][0], str)}))
    doors = await asyncio.gather(*(_knock(question.host, port, question.timeout) for port in question.ports))
    return Dialled(id=question.id, addresses=addresses, doors=tuple(doors))


async def _knock(host: str, port: int, timeout: float) -> Door:
    began = time.monotonic()
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port, family=socket.AF_INET)
    except OSError as error:
        return Door(port, _words(error, timeout), round(time.monotonic() - began, 4))
    took = round(time.monotonic() - began, 4)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Door(port, "", took)


def _words(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {timeout:g} s"
    return str(error) or type(error).__name__
