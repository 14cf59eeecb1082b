"""Something that is tried again by itself, with pauses that grow, as long as it has not succeeded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable


class Again:
    """`attempt` is called after each pause, of so many seconds at first and at most."""

    def __init__(self, attempt: Callable[[], None], first: float, longest: float) -> None:
        self._attempt = attempt
        self._first, self._longest = first, longest
        self._pause = first
        self._timer: asyncio.TimerHandle | None = None

    def need(self, open: bool) -> None:
        """Whether it is still to be tried. Called again after each attempt; a success makes the next pause short."""
        if not open:
            self.stop()
            self._pause = self._first
        elif self._timer is None:
            pause = self._pause * random.uniform(0.5, 1)
            self._timer = asyncio.get_running_loop().call_later(pause, self._try)
            self._pause = min(self._pause * 2, self._longest)

    def stop(self) -> None:
        """Try no more until it is needed again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _try(self) -> None:
        self._timer = None
        self._attempt()
