"""REST: resources, and their Test."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response
from pydantic import Field

from tieline.agent.protocol import Condition
from tieline.cloud.agents.agent_registry import probe_failed
from tieline.cloud.agents.configuration import to_rule
from tieline.cloud.api.common.context import (
    Asked,
    Asking,
    IfMatch,
    Key,
    Records,
    There,
    Within,
    everywhere,
    item,
    tagged,
)
from tieline.cloud.api.common.errors import documented
from tieline.cloud.api.common.once import Once
from tieline.cloud.model.pages import Page, cut
from tieline.cloud.model.records import Action, Deployment, LinkStatus, PrivateLink, Resource, Rule
from tieline.cloud.platform.platform import Platform
from tieline.cloud.resources.dependants import links_of, rules_using
from tieline.cloud.resources.service import (
    NewResource,
    check_allowed,
    create_resource,
    delete_resource,
    draft,
    elsewhere,
    replace_resource,
    secrets_again,
    to_config,
    view,
)
from tieline.cloud.rules.service import to_action
from tieline.cloud.schemas.answers import ResourceAnswer, Resources
from tieline.cloud.store.edits import check_match, checked, merged
from tieline.cloud.store.repository import Repository
from tieline.integration.config import shapes as config

router = APIRouter(
    prefix="/deployments/{id}/resources", tags=["resources"], route_class=Once, responses=documented(404)
)
of_all = APIRouter(prefix="/resources", tags=["resources"])


class Candidate(NewResource):
    """A resource to test, and the actions whose statements are prepared with it."""

    actions: tuple[Action, ...] = Field(default=(), max_length=50)


@of_all.get("", name="list_all")
async def list_all(there: There, asking: Asking, asked: Asked) -> Resources:
    """The resources of all deployments of the caller's projects, in order of id."""
    return _page(there, everywhere(there, Resource, asking), asked)


@router.get("", name="list")
async def list_resources(there: There, within: Within, asked: Asked) -> Resources:
    """The resources of a deployment, in order of id."""
    return _page(there, there.records.all(Resource, lambda resource: resource.deployment == within.id), asked)


@router.post("", status_code=201, responses=documented(400, 409))
async def create(
    there: There, records: Records, within: Within, wanted: NewResource, response: Response
) -> ResourceAnswer:
    """Create a resource; it is not contacted before a rule uses it: test it first."""
    check_allowed(records, within, wanted, there.allowed)
    resource = create_resource(records, there.vault, within, wanted)
    there.changed(within.id)
    tagged(response, resource)
    return _view(there, resource)


@router.post("/probe", status_code=204, responses=documented(400))
async def probe(there: There, within: Within, wanted: Candidate) -> None:
    """`Test`: try a resource from inside the deployment; 204, or 400 TEST_FAILED with the first hop that fails."""
    plain = NewResource.model_validate(wanted.model_dump(exclude={"actions"}))
    check_allowed(there.records, within, wanted, there.allowed)
    resource = draft(there.records, there.vault, within, plain)
    ids = {resource.name: resource.id}
    actions = [to_action(action, number, ids) for number, action in enumerate(wanted.actions)]
    await _probe(there, resource, tuple(actions))


@router.get("/{resource}")
async def get(there: There, within: Within, resource: Key, response: Response) -> ResourceAnswer:
    """One resource by id or name; secrets are shown as ******."""
    found = item(there, Resource, within, resource, "resource")
    tagged(response, found)
    return _view(there, found)


@router.put("/{resource}", responses=documented(409, 412))
async def replace(
    there: There,
    records: Records,
    within: Within,
    resource: Key,
    wanted: NewResource,
    response: Response,
    if_match: IfMatch = None,
) -> ResourceAnswer:
    """Replace a resource; a secret given as ****** stays, and rules follow a new name."""
    found = item(there, Resource, within, resource, "resource")
    check_match(found, if_match)
    return _replaced(there, records, within, found, wanted, response)


@router.patch("/{resource}", responses=documented(409, 412))
async def change(
    there: There,
    records: Records,
    within: Within,
    resource: Key,
    patch: Annotated[dict[str, Any], Body(examples=[{"password": "another secret"}])],
    response: Response,
    if_match: IfMatch = None,
) -> ResourceAnswer:
    """Change some fields of a resource (RFC 7396: null removes one); what is left out stays."""
    found = item(there, Resource, within, resource, "resource")
    check_match(found, if_match)
    present = view(found, there.vault).model_dump(exclude={"id", "deployment", "created"})
    wanted = checked(NewResource, merged(present, patch))
    return _replaced(there, records, within, found, wanted, response)


def _replaced(
    there: Platform, records: Repository, within: Deployment, found: Resource, wanted: NewResource, response: Response
) -> ResourceAnswer:
    check_allowed(records, within, wanted, there.allowed)
    changed = replace_resource(records, there.vault, within, found, wanted)
    there.changed(within.id)
    tagged(response, changed)
    return _view(there, changed)


@router.post("/{resource}/probe", status_code=204, responses=documented(400))
async def probe_saved(there: There, within: Within, resource: Key) -> None:
    """`Test` a recorded resource, with the actions of the rules that use it."""
    found = item(there, Resource, within, resource, "resource")
    ids = {found.name: found.id}
    rules = rules_using(found, there.records.all(Rule))
    own = [rule.model_copy(update={"actions": tuple(a for a in rule.actions if a.resource in ids)}) for rule in rules]
    await _probe(there, found, tuple(action for rule in own for action in to_rule(rule, ids).actions))


@router.delete("/{resource}", status_code=204, responses=documented(409))
async def delete(there: There, records: Records, within: Within, resource: Key, cascade: bool = False) -> None:
    """Delete a resource that no rule uses; with `cascade` the rules go first."""
    delete_resource(records, item(there, Resource, within, resource, "resource"), cascade)
    there.changed(within.id)


async def _probe(there: Platform, resource: Resource, actions: tuple[config.Action, ...]) -> None:
    """The hops in order: first the link, which the platform knows, then what only the agent can try."""
    links = there.records.all(PrivateLink)
    for link in links_of(resource, links):
        if link.status is LinkStatus.RUNNING:
            continue
        reason = f" ({link.reason})" if link.reason else ""
        message = f"private link {link.name!r} is {link.status}{reason}"
        raise probe_failed("link", message, link.hint or "wait until it is running", cause=link.cause)
    if moved := elsewhere(resource, there.vault, links):
        raise probe_failed("login", *secrets_again(moved))
    await there.hub.probe(resource.deployment, to_config(resource, there.vault, links), actions)


def _page(there: Platform, found: list[Resource], asked: Page) -> Resources:
    chosen, cursor = cut(found, asked)
    return Resources(resources=[_view(there, resource) for resource in chosen], next_cursor=cursor)


def _view(there: Platform, resource: Resource) -> ResourceAnswer:
    found = there.hub.report(resource.deployment).status.resources.get(resource.id, Condition())
    told = {name: getattr(found, name) for name in ("status", "reason", "hop", "hint", "cause")}
    if resource.given_for and (moved := elsewhere(resource, there.vault, there.records.all(PrivateLink))):
        told |= {"hop": "login", **dict(zip(("reason", "hint"), secrets_again(moved), strict=True))}
    return ResourceAnswer(**view(resource, there.vault).model_dump(), **told)
