"""REST: private links."""

from __future__ import annotations

from fastapi import APIRouter

from tieline.cloud.answers import PrivateLinks
from tieline.cloud.api.context import Key, There, Who, Within, item
from tieline.cloud.api.errors import documented
from tieline.cloud.links.requests import NewLink, create_link, delete_link
from tieline.cloud.records import PrivateLink, PrivateLinkView

router = APIRouter(
    prefix="/deployments/{id}/private-links", tags=["private links"], responses=documented(401, 404, 422)
)


@router.get("")
async def list_links(there: There, within: Within) -> PrivateLinks:
    """The private links of a deployment, in order of id."""
    links = there.records.all(PrivateLink, lambda link: link.deployment == within.id)
    return PrivateLinks(private_links=[_view(link) for link in links])


@router.post("", status_code=201, responses=documented(400, 409, 502, 503))
async def create(there: There, who: Who, within: Within, wanted: NewLink) -> PrivateLinkView:
    """Create a private link to a service that allows this deployment and shares a zone with it."""
    link = await create_link(there.records, there.aws, within, wanted, who)
    there.links.reconciler.wake(link.id)
    return _view(link)


@router.get("/{link}")
async def get(there: There, within: Within, link: Key) -> PrivateLinkView:
    """One private link by id or name."""
    return _view(item(there, PrivateLink, within, link, "private link"))


@router.delete("/{link}", status_code=202, responses=documented(409))
async def delete(there: There, who: Who, within: Within, link: Key, cascade: bool = False) -> PrivateLinkView:
    """Delete a private link in any state; with `cascade` first the rules and resources that use it."""
    found = delete_link(there.records, item(there, PrivateLink, within, link, "private link"), who, cascade)
    there.links.reconciler.wake(found.id)
    there.changed(within.id)
    return _view(found)


def _view(link: PrivateLink) -> PrivateLinkView:
    return PrivateLinkView.model_validate(link.model_dump())
