"""Looks again and again, for as long as the platform lives: one that fails is logged, and the next one follows."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)


async def rounds(
    name: str, look: Callable[[], Awaitable[None] | None], pause: Callable[[], Awaitable[object]] | float
) -> None:
    """`look` now and after each pause, which is so many seconds or what is waited for; ends only by cancellation."""
    while True:
        try:
            looked = look()
            if inspect.isawaitable(looked):
                await looked
        except Exception:
            log.exception("%s: this look failed, another follows", name)
        await (asyncio.sleep(pause) if isinstance(pause, (int, float)) else pause())
