"""What the tests of sinks share: writing outputs as a rule makes them, and a Test that fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tieline.integration.sinks import Action, Resource, open_sink
from tieline.integration.sinks.base.failures import Rejected
from tieline.integration.sinks.base.kind import Writer
from tieline.integration.worker.probe import ProbeFailed, probe

CLOSED = "127.0.0.1:9"  # the port of "discard": nobody listens, and no test's server gets it


@asynccontextmanager
async def writing(resource: Resource, action: Action) -> AsyncIterator[Writer]:
    """The way of one action to a server, closed afterwards."""
    sink = open_sink(resource)
    try:
        yield sink.writer(action)
    finally:
        await sink.close()


async def write(resource: Resource, action: Action, outputs: Sequence[dict[str, Any]]) -> None:
    """Write outputs once."""
    async with writing(resource, action) as writer:
        await writer.write(outputs)


async def refused(resource: Resource, action: Action, outputs: Sequence[dict[str, Any]]) -> Rejected:
    """What is said of outputs that a server never takes."""
    with pytest.raises(Rejected) as caught:
        await write(resource, action, outputs)
    return caught.value


async def failing(resource: Resource, *actions: Action, timeout: float = 10.0) -> ProbeFailed:
    """What a Test says that does not pass."""
    with pytest.raises(ProbeFailed) as caught:
        await probe(resource, actions, timeout)
    assert caught.value.message
    assert caught.value.cause
    return caught.value
