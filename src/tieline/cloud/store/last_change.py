"""Finds the last change of links that are older than the note of it: one search of the audit log, once for each link.

The note is there because a search at each look would take longer every day.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from tieline.cloud.model.records import PrivateLink
from tieline.cloud.store.audit import AuditEntry
from tieline.cloud.store.repository import Repository

log = logging.getLogger(__name__)


async def find_noted(records: Repository) -> None:
    """Note with each such link its newest entry, or that there is none; others go between. What fails is logged, and
    tried again at the next start.
    """
    unknown = {link.id for link in records.all(PrivateLink, lambda link: link.noted is None)}
    wanted = set(unknown)

    def newest(entry: AuditEntry) -> bool:
        if entry.kind != PrivateLink.kind or entry.record not in wanted:
            return False
        wanted.discard(entry.record)
        return True

    try:
        found = await records.audit.page(len(unknown), "", newest) if unknown else []
        entries = dict.fromkeys(unknown, "") | {entry.record: entry.id for entry in found}
        for id, entry in entries.items():
            records.update(PrivateLink, id, partial(_noted, entry=entry))
            await asyncio.sleep(0)
    except Exception:
        log.exception("the last changes of %d links were not found; the next start looks again", len(unknown))


def _noted(link: PrivateLink, entry: str) -> PrivateLink:
    """The link with this entry, unless somebody changed it meanwhile, which is newer."""
    return link.model_copy(update={"noted": entry}) if link.noted is None else link
