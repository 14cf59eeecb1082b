"""Applies the newest configuration: of several that came meanwhile the last, and one that failed again and again.

It runs beside the line to the platform: a broker that is slow to start keeps no question from its answer.
"""

from __future__ import annotations

from tieline.agent.protocol import Configure
from tieline.agent.worker import Worker
from tieline.base.reconciler import Reconciler

KEY = "configuration"
LOOK_SECONDS = 5.0  # between two looks at a worker that runs what it was told: its pipeline may end


class NotApplied(Exception):
    """The worker does not run what it was told: the message says why."""


class Newest:
    """What a worker is to run, from one moment to the next."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.wanted = worker.remembered()
        self._reconciler = Reconciler("agent", self._apply)

    def start(self) -> None:
        """Go on with the configuration of the last time, so that work goes on before the platform is reached."""
        if self.wanted is not None:
            self._reconciler.wake(KEY)

    def put(self, message: Configure) -> None:
        """Run this from now on."""
        self.wanted = message
        self._reconciler.wake(KEY)

    async def close(self) -> None:
        """Apply nothing any more."""
        await self._reconciler.close()

    async def _apply(self, _: str) -> float:
        assert self.wanted is not None, "it is woken for a configuration"
        await self._worker.configure(self.wanted)
        if self._worker.fault:
            raise NotApplied(self._worker.fault)
        return LOOK_SECONDS
