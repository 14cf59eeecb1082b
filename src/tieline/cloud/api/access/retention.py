"""REST: how long things are kept."""

from __future__ import annotations

from fastapi import APIRouter, Response

from tieline.cloud.api.common.context import Asking, IfMatch, Records, There, tagged
from tieline.cloud.api.common.errors import documented
from tieline.cloud.guard.records import EVERY
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.store.edits import check_match
from tieline.cloud.store.retention import Retention, RetentionChange, RetentionView, changed

router = APIRouter(prefix="/retention", tags=["retention"])


@router.get("")
async def show(there: There, response: Response) -> RetentionView:
    """How long the audit log, histories, counters and traffic are kept."""
    found = there.records.retention()
    tagged(response, found)
    return _view(found)


@router.patch("", responses=documented(409, 412))
async def change(
    there: There,
    records: Records,
    asking: Asking,
    wanted: RetentionChange,
    response: Response,
    if_match: IfMatch = None,
) -> RetentionView:
    """Keep things for another time; null is the default again. What is too old by it goes at once, for ever."""
    if not asking.grant.covers([EVERY]):
        message = f"retention is the whole platform's, and {asking.name!r} is for {', '.join(asking.grant.projects)}"
        raise PlatformError(403, "FORBIDDEN", message, "ask an administrator of all projects")
    found = records.retention()
    check_match(found, if_match)
    present = changed(found, wanted)
    if present != found:
        records.commit(write=[present])
        there.retained(found, present)
    tagged(response, present)
    return _view(present)


def _view(found: Retention) -> RetentionView:
    return RetentionView.model_validate(found.model_dump())
