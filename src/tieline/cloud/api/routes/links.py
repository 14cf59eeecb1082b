"""REST: private links."""

from __future__ import annotations

from fastapi import APIRouter, Response

from tieline.cloud.api.common.context import (
    Asked,
    Asking,
    IfMatch,
    Key,
    Records,
    There,
    Who,
    Within,
    everywhere,
    item,
    tagged,
)
from tieline.cloud.api.common.errors import documented
from tieline.cloud.api.common.once import Once
from tieline.cloud.aws.apart import check_service
from tieline.cloud.links.service import LinkChange, NewLink, change_link, check_link, create_link, delete_link
from tieline.cloud.model.pages import Page, cut
from tieline.cloud.model.records import PrivateLink, PrivateLinkView
from tieline.cloud.schemas.answers import PrivateLinks
from tieline.cloud.store.edits import check_match

router = APIRouter(
    prefix="/deployments/{id}/private-links", tags=["private links"], route_class=Once, responses=documented(404)
)


of_all = APIRouter(prefix="/private-links", tags=["private links"])


@of_all.get("", name="list_all")
async def list_all(there: There, asking: Asking, asked: Asked) -> PrivateLinks:
    """The private links of all deployments of the caller's projects, in order of id."""
    return _page(everywhere(there, PrivateLink, asking), asked)


@router.get("", name="list")
async def list_links(there: There, within: Within, asked: Asked) -> PrivateLinks:
    """The private links of a deployment, in order of id."""
    return _page(there.records.all(PrivateLink, lambda link: link.deployment == within.id), asked)


@router.post("", status_code=201, responses=documented(400, 409, 502, 503))
async def create(
    there: There, records: Records, asking: Asking, within: Within, wanted: NewLink, response: Response
) -> PrivateLinkView:
    """Create a private link to a service that allows this deployment and shares a zone with it."""
    who = asking.name
    check_service(records, asking.grant, within, wanted.service_name)
    link = await create_link(records, there.accounts.of(within.aws), within, wanted, who)
    there.links.reconciler.wake(link.id)
    tagged(response, link)
    return _view(link)


@router.post("/check", status_code=204, responses=documented(409, 502, 503))
async def check(there: There, asking: Asking, within: Within, wanted: NewLink) -> None:
    """Whether a private link could be created: 204, or the refusal that its creation would get. Nothing is made."""
    check_service(there.records, asking.grant, within, wanted.service_name)
    await check_link(there.accounts.of(within.aws), within, wanted)


@router.get("/{link}")
async def get(there: There, within: Within, link: Key, response: Response) -> PrivateLinkView:
    """One private link by id or name."""
    found = item(there, PrivateLink, within, link, "private link")
    tagged(response, found)
    return _view(found)


@router.patch("/{link}", responses=documented(409, 412))
async def change(
    there: There,
    records: Records,
    who: Who,
    within: Within,
    link: Key,
    wanted: LinkChange,
    response: Response,
    if_match: IfMatch = None,
) -> PrivateLinkView:
    """Change name, description or ports; resources that name the link follow its new name."""
    found = item(there, PrivateLink, within, link, "private link")
    check_match(found, if_match)
    changed = change_link(records, found, wanted, who)
    tagged(response, changed)
    there.changed(within.id)
    return _view(changed)


@router.delete("/{link}", status_code=202, responses=documented(409))
async def delete(
    there: There, records: Records, who: Who, within: Within, link: Key, cascade: bool = False
) -> PrivateLinkView:
    """Delete a private link in any state; with `cascade` first the rules and resources that use it."""
    found = delete_link(records, item(there, PrivateLink, within, link, "private link"), who, cascade)
    there.links.reconciler.wake(found.id)
    there.changed(within.id)
    return _view(found)


def _page(found: list[PrivateLink], asked: Page) -> PrivateLinks:
    """The answer's type says what is shown of a record; making views first would take longer than all the rest."""
    chosen, cursor = cut(found, asked)
    return PrivateLinks(private_links=[*chosen], next_cursor=cursor)


def _view(link: PrivateLink) -> PrivateLinkView:
    return PrivateLinkView.model_validate(link.model_dump())
