"""How a resource is: told by its writes, and by checks while nothing is written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from tieline.integration.delivery.lane import Lane
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.base.kind import Sink

TIMEOUT: Final = 15.0  # seconds for a check, as for a Test
INTERVAL: Final = 15.0  # seconds between checks, EMQX's health_check_interval
SOON: Final = 1.0  # seconds between checks while something is wrong
log = logging.getLogger(__name__)


class Health:
    """Watches one resource. It is `connected` only while its writes succeed, or its last check did."""

    def __init__(self, lane: Lane, sink: Callable[[], Sink], clock: Callable[[], float]) -> None:
        self._lane = lane
        self._sink = sink
        self._clock = clock
        self._checked: Unavailable | None = None
        self._checked_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch, once."""
        if self._task is None:
            self._task = asyncio.create_task(self._watch())

    def stop(self) -> None:
        """Watch no longer."""
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while True:
            if self._clock() - self._wrote_at() > INTERVAL and self._trouble() is None:
                await self._check()
            await asyncio.sleep(SOON if self._checked else INTERVAL)

    async def _check(self) -> None:
        began, actions = self._clock(), [batcher.action for batcher in self._lane.working()]
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._sink().check(actions)
        except Unavailable as trouble:
            self._checked = trouble
        except TimeoutError:
            self._checked = Unavailable("tcp", f"a check had no answer within {TIMEOUT} s")
        except (Rejected, TemplateError) as rejected:
            self._checked = Unavailable("statement", str(rejected))
        except Exception as error:  # whatever it was, what is not known to be well is not shown as well
            log.exception("a check broke")
            self._checked = Unavailable("statement", f"the check broke: {type(error).__name__}: {error}")
        else:
            self._checked = None
        self._checked_at = began  # a row that was written since then tells more

    def _wrote_at(self) -> float:
        return max((batcher.wrote_at for batcher in self._lane.actions().values()), default=0.0)

    def _trouble(self) -> Unavailable | None:
        batchers = self._lane.actions().values()
        return next((batcher.trouble for batcher in batchers if batcher.trouble is not None), None)

    def status(self) -> dict[str, Any]:
        """`status` is connected, connecting (nothing is known yet) or disconnected; and how the broker's side is."""
        session = self._lane.session
        broker = {"status": "connected" if session.connected else "disconnected", "reason": session.reason}
        trouble = self._trouble()
        if trouble is None and self._checked_at > self._wrote_at():
            trouble = self._checked
        common = {"pending": self._lane.pending, "broker": broker}
        if trouble is not None:
            said = {"reason": trouble.message, "hop": trouble.hop, "hint": trouble.hint, "cause": trouble.cause}
            return {"status": "disconnected", **said, **common}
        known = self._checked_at or self._wrote_at()
        return {"status": "connected" if known else "connecting", "reason": "", **common}
