"""REST: how a private link is, at which hop it stops, and how it starts again."""

from __future__ import annotations

from fastapi import APIRouter

from tieline.cloud.api.common.context import Key, Records, There, Who, Within, item
from tieline.cloud.api.common.errors import documented
from tieline.cloud.doctor.diagnose import diagnosis
from tieline.cloud.doctor.gather import gather, probe_link
from tieline.cloud.doctor.health import LinkHealth
from tieline.cloud.doctor.hops import Diagnosis
from tieline.cloud.links.reconnect import Reconnect, reconnect_link
from tieline.cloud.model.records import PrivateLink, PrivateLinkView

router = APIRouter(
    prefix="/deployments/{id}/private-links/{link}", tags=["private links"], responses=documented(401, 404, 422)
)


@router.get("/doctor")
async def doctor(there: There, within: Within, link: Key) -> Diagnosis:
    """Every hop of a link in order, with evidence; what only the provider's account knows is unknown."""
    return diagnosis(await gather(there, within, item(there, PrivateLink, within, link, "private link")))


@router.get("/health")
async def health(there: There, within: Within, link: Key) -> LinkHealth:
    """Link state, backend health and a probe from inside, told apart, for `running` does not mean reachable."""
    return await probe_link(there, item(there, PrivateLink, within, link, "private link"))


@router.post("/reconnect", status_code=202, responses=documented(409, 502, 503))
async def reconnect(
    there: There, records: Records, who: Who, within: Within, link: Key, wanted: Reconnect | None = None
) -> PrivateLinkView:
    """Start a failed link again, to a new service if one is named; resources that use it stay."""
    found = item(there, PrivateLink, within, link, "private link")
    again = await reconnect_link(records, there.accounts.of(within.aws), within, found, wanted or Reconnect(), who)
    there.links.reconciler.wake(again.id)
    there.changed(within.id)
    return PrivateLinkView.model_validate(again.model_dump())
