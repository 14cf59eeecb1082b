"""REST: the log of all changes."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from tieline.cloud.api.common.context import Asking, There
from tieline.cloud.guard.records import Caller
from tieline.cloud.model.pages import Page, decoded, encoded
from tieline.cloud.schemas.answers import AuditPage
from tieline.cloud.store.audit import AuditEntry

router = APIRouter(prefix="/audit", tags=["audit"])


class AuditQuestion(Page):
    """Which entries are asked for; all conditions must hold."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    who: str = Field(default="", max_length=254)
    kind: str = Field(default="", max_length=50, examples=["resource"])
    record: str = Field(default="", max_length=254, description="a record's id or name")


@router.get("", name="list")
async def list_entries(there: There, asking: Asking, asked: Annotated[AuditQuestion, Query()]) -> AuditPage:
    """The newest changes first, those of the caller's projects; logins are shown to who is for all projects."""

    def wanted(entry: AuditEntry) -> bool:
        return _visible(entry, asking) and _asked_for(entry, asked)

    found = await there.records.audit.page(asked.limit + 1, _before(asked.cursor), wanted)
    cursor = encoded(found[asked.limit - 1].id) if len(found) > asked.limit else None
    return AuditPage(entries=found[: asked.limit], next_cursor=cursor)


def _visible(entry: AuditEntry, asking: Caller) -> bool:
    return asking.grant.covers(entry.projects or ("*",))


def _asked_for(entry: AuditEntry, asked: AuditQuestion) -> bool:
    pairs = ((asked.who, (entry.who,)), (asked.kind, (entry.kind,)), (asked.record, (entry.record, entry.name)))
    return all(not wanted or wanted in found for wanted, found in pairs)


def _before(cursor: str) -> str:
    id = decoded(cursor)
    return id if id[:20].isdecimal() and len(id) > 20 else ""
