"""Tells whoever listens that something of the platform may look different now: never what."""

from __future__ import annotations

from collections.abc import Callable


class Pulse:
    """Its listeners are called in the event loop, and only take note."""

    def __init__(self) -> None:
        self._listeners: set[Callable[[], None]] = set()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call it at each beat."""
        self._listeners.add(listener)

    def leave(self, listener: Callable[[], None]) -> None:
        """Call it no more."""
        self._listeners.discard(listener)

    def beat(self) -> None:
        """Something was written, or an agent came, left, or told news."""
        for listener in tuple(self._listeners):
            listener()
