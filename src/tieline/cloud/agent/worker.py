"""The agent's work: one broker and one pipeline, kept as the newest configuration says."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tieline.cloud.agent.memory import forget, recall, remember
from tieline.cloud.brokers.mosquitto import Mosquitto
from tieline.cloud.protocol import Configure, Probe, Probed, Report
from tieline.integration.config import Broker
from tieline.integration.pipeline import Pipeline
from tieline.integration.probe import ProbeFailed, probe

log = logging.getLogger(__name__)

ANY = "0.0.0.0"
LOOPBACK = "127.0.0.1"


class Worker:
    """Runs what it is told. `changed` is called when a report is due."""

    def __init__(self, state: Path, changed: Callable[[], None]) -> None:
        self._state = state
        self._changed = changed
        self._broker = Mosquitto(state / "broker", changed)
        self._pipeline: Pipeline | None = None
        self._running: asyncio.Task[None] | None = None
        self._current: Configure | None = None
        self._error = ""

    async def resume(self) -> None:
        """Start with the configuration of the last time, so that work goes on before the platform is reached."""
        if message := recall(self._state):
            await self.configure(message)

    async def configure(self, message: Configure) -> None:
        """Run this configuration from now on; what cannot be done is in the report, and the rest is done."""
        if message == self._current:
            return
        remember(self._state, message)
        try:
            await self._broker.apply(message.host, message.port)
            await self._integrate(message)
            self._error = ""
        except Exception as error:
            log.exception("configuration %d cannot be applied", message.config.version)
            self._error = f"configuration {message.config.version}: {type(error).__name__}: {error}"
        self._current = message
        self._changed()

    async def probe(self, question: Probe) -> Probed:
        """Try a resource; the answer names the hop that failed."""
        try:
            async with asyncio.timeout(question.timeout):
                await probe(question.resource, question.actions)
        except ProbeFailed as error:
            return Probed(id=question.id, hop=error.hop, message=error.message, hint=error.hint, cause=error.cause)
        except TimeoutError:
            message = f"the Test was not done within {question.timeout:.0f} s"
            return Probed(id=question.id, hop="agent", message=message, hint="try again")
        except Exception as error:
            log.exception("a Test failed in a way that nobody thought of")
            cause = f"{type(error).__name__}: {error}"
            hint = "report it with the agent's log"
            return Probed(id=question.id, hop="agent", message="the Test itself failed", hint=hint, cause=cause)
        return Probed(id=question.id)

    def report(self) -> Report:
        """How broker and pipeline stand."""
        return Report(
            applied=self._current.config.version if self._current else -1,
            broker=self._broker.running,
            error=self._error or self._broker.error,
            metrics=_plain(self._pipeline.metrics()) if self._pipeline else {},
            status=_plain(self._pipeline.status()) if self._pipeline else {},
        )

    async def close(self, dismissed: bool = False) -> None:
        """Stop in good order; a dismissed agent keeps nothing."""
        await self._stop()
        await self._broker.close()
        if dismissed:
            forget(self._state)

    async def _integrate(self, message: Configure) -> None:
        """Bring the pipeline to the configuration; a broker elsewhere needs a new one."""
        moved = self._current is not None and self._current.port != message.port
        if self._pipeline is not None and not moved:
            await self._pipeline.apply(message.config)
            return
        await self._stop()
        host = LOOPBACK if message.host == ANY else message.host
        self._pipeline = Pipeline(Broker(host=host, port=message.port), message.config)
        self._running = asyncio.create_task(self._pipeline.run(), name="pipeline")

    async def _stop(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        running, self._running = self._running, None
        if pipeline is not None:
            await pipeline.close()
        if running is not None:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


def _plain(value: object) -> dict[str, Any]:
    """Values as JSON has them."""
    found: dict[str, Any] = msgspec.to_builtins(value)
    return found


