"""REST: how a private link is, and at which hop it stops."""

from __future__ import annotations

from fastapi import APIRouter

from tieline.cloud.api.context import Key, There, Within, item
from tieline.cloud.api.errors import documented
from tieline.cloud.doctor.diagnose import diagnosis
from tieline.cloud.doctor.gather import gather
from tieline.cloud.doctor.health import LinkHealth, probe_link
from tieline.cloud.doctor.hops import Diagnosis
from tieline.cloud.records import PrivateLink

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
