"""Removes what is older than the platform's retention: again and again, and at once where less is to be kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial

from tieline.base.periodic import rounds
from tieline.cloud.model.records import Deployment, PrivateLink
from tieline.cloud.store.repository import Repository
from tieline.cloud.store.retention import expired, shortened

log = logging.getLogger(__name__)

HISTORIES: tuple[type[Deployment] | type[PrivateLink], ...] = (Deployment, PrivateLink)
LOOK_SECONDS = 3600.0  # between two looks: days are what the log is kept by


class Housekeeping:
    """Looks at the audit log by its days, and at each record's history."""

    def __init__(self, records: Repository, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._records, self._clock = records, clock
        self._asked = asyncio.Event()

    def wake(self) -> None:
        """Look at once: less is to be kept."""
        self._asked.set()

    async def run(self) -> None:
        """For ever."""
        await rounds("housekeeping", self.tidy, self._pause)

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._asked.wait()
        self._asked.clear()

    async def tidy(self) -> None:
        """Remove what is too old now. What fails is told, stops nothing else, and is tried again at the next look."""
        kept = self._records.retention()
        for day in expired(self._records.audit.days(), kept.audit_days, self._clock().date()):
            await self._try(f"the audit log of {day}", self._records.audit.forget(day))
        for type in HISTORIES:
            for record in self._records.all(type):
                if len(record.history) > kept.history_entries:
                    await self._try(f"the history of {record.id}", self._shorten(type, record.id, kept.history_entries))

    async def _shorten(self, type: type[Deployment] | type[PrivateLink], id: str, most: int) -> None:
        self._records.update(type, id, partial(shortened, history_entries=most))

    async def _try(self, what: str, removal: Awaitable[None]) -> None:
        try:
            await removal
        except Exception:
            log.exception("housekeeping: %s stays until the next look", what)
        await asyncio.sleep(0)  # requests go between
