"""A rule's past: messages and rows per second, as long as they are kept, and its counters now."""

from __future__ import annotations

import asyncio

from nicegui import ui

from tieline.client.rest import ClientError
from tieline.cloud.schemas.answers import RuleMetrics
from tieline.console.frame import parts
from tieline.console.frame.charts import Chart, Series, numbers, rates
from tieline.console.frame.shell import Desk, words

SECONDS = 5.0  # as often as the agent takes a sample


class Past:
    """The chart, read anew while the page is open."""

    def __init__(self, view: Desk, deployment: str, rule: str) -> None:
        self._view, self._deployment, self._rule = view, deployment, rule
        with parts.card():
            with parts.row("between"):
                parts.heading("Messages and rows per second")
                parts.button("Count from zero", self._reset, kind="other")
            self._told = parts.stack()
            self._chart = Chart("Messages and rows per second, as long as they are kept")
        ui.timer(SECONDS, self._look)

    async def _look(self) -> None:
        await self.look()

    async def look(self) -> None:
        """Read, and draw."""
        try:
            async with asyncio.timeout(2 * SECONDS):
                found = await self._view.ask(lambda client: client.rule_metrics(self._deployment, self._rule))
        except (ClientError, TimeoutError) as error:
            self._told.clear()
            with self._told:
                parts.problem(words(error) if isinstance(error, ClientError) else "the agent does not answer")
            return
        self._chart.show(series(found))
        self._told.clear()
        with self._told:
            _now(found)

    async def _reset(self) -> None:
        await self._view.do(lambda client: client.reset_metrics(self._deployment, self._rule))
        await self.look()


def series(found: RuleMetrics) -> list[Series]:
    """Matched messages, and for each action the rows that it wrote and lost, per second. Pure."""
    drawn: list[Series] = [("matched", rates(found.history, 1))]
    for number, samples in enumerate(found.action_history, 1):
        which = f" by action {number}" if len(found.action_history) > 1 else ""
        drawn.append((f"written{which}", rates(samples, 2)))
        if samples and samples[-1].failed + samples[-1].dropped:
            lost = [(sample.time, sample.failed + sample.dropped) for sample in samples]
            drawn.append((f"failed{which}", rates(lost, 1)))
    return drawn


def _now(found: RuleMetrics) -> None:
    counted = found.metrics
    shown = (("matched", "matched"), ("passed", "passed"), ("failed", "kept out"))
    pairs = [(word, f"{int(counted.get(name, 0)):,}") for name, word in shown]
    actions = found.action_metrics
    written = sum(int(action.get("success", 0)) for action in actions)
    waiting = sum(int(action.get("queuing", 0)) + int(action.get("inflight", 0)) for action in actions)
    numbers([*pairs, ("written", f"{written:,}"), ("waiting", f"{waiting:,}")])
    for error in {str(one.get("last_error") or "") for one in (counted, *actions)} - {""}:
        parts.problem(f"last error: {error}")
