"""REST: resources, and their Test."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import Field

from tieline.cloud.answers import ResourceAnswer, Resources
from tieline.cloud.api.context import Key, There, Within, item
from tieline.cloud.api.errors import documented
from tieline.cloud.configuration import to_rule
from tieline.cloud.dependants import link_of, rules_using
from tieline.cloud.hub import probe_failed
from tieline.cloud.platform import Platform
from tieline.cloud.protocol import Condition
from tieline.cloud.records import Action, LinkStatus, PrivateLink, Resource, Rule
from tieline.cloud.resources import NewResource, create_resource, delete_resource, draft, to_config, view
from tieline.cloud.rules import to_action
from tieline.integration import config

router = APIRouter(prefix="/deployments/{id}/resources", tags=["resources"], responses=documented(401, 404, 422))


class Candidate(NewResource):
    """A resource to test, and the actions whose statements are prepared with it."""

    actions: tuple[Action, ...] = Field(default=(), max_length=50)


@router.get("")
async def list_resources(there: There, within: Within) -> Resources:
    """The resources of a deployment, in order of id."""
    found = there.records.all(Resource, lambda resource: resource.deployment == within.id)
    return Resources(resources=[_view(there, resource) for resource in found])


@router.post("", status_code=201, responses=documented(400, 409))
async def create(there: There, within: Within, wanted: NewResource) -> ResourceAnswer:
    """Create a resource; it is not contacted before a rule uses it: test it first."""
    resource = create_resource(there.records, there.vault, within, wanted)
    there.changed(within.id)
    return _view(there, resource)


@router.post("/probe", status_code=204, responses=documented(400))
async def probe(there: There, within: Within, wanted: Candidate) -> None:
    """`Test`: try a resource from inside the deployment; 204, or 400 TEST_FAILED with the first hop that fails."""
    plain = NewResource.model_validate(wanted.model_dump(exclude={"actions"}))
    resource = draft(there.records, there.vault, within, plain)
    ids = {resource.name: resource.id}
    actions = [to_action(action, number, ids) for number, action in enumerate(wanted.actions)]
    await _probe(there, resource, tuple(actions))


@router.get("/{resource}")
async def get(there: There, within: Within, resource: Key) -> ResourceAnswer:
    """One resource by id or name; secrets are shown as ******."""
    return _view(there, item(there, Resource, within, resource, "resource"))


@router.post("/{resource}/probe", status_code=204, responses=documented(400))
async def probe_saved(there: There, within: Within, resource: Key) -> None:
    """`Test` a recorded resource, with the actions of the rules that use it."""
    found = item(there, Resource, within, resource, "resource")
    ids = {found.name: found.id}
    rules = rules_using(found, there.records.all(Rule))
    own = [rule.model_copy(update={"actions": tuple(a for a in rule.actions if a.resource in ids)}) for rule in rules]
    await _probe(there, found, tuple(action for rule in own for action in to_rule(rule, ids).actions))


@router.delete("/{resource}", status_code=204, responses=documented(409))
async def delete(there: There, within: Within, resource: Key, cascade: bool = False) -> None:
    """Delete a resource that no rule uses; with `cascade` the rules go first."""
    delete_resource(there.records, item(there, Resource, within, resource, "resource"), cascade)
    there.changed(within.id)


async def _probe(there: Platform, resource: Resource, actions: tuple[config.Action, ...]) -> None:
    """The hops in order: first the link, which the platform knows, then what only the agent can try."""
    links = there.records.all(PrivateLink)
    link = link_of(resource, links)
    if link is not None and link.status is not LinkStatus.RUNNING:
        reason = f" ({link.reason})" if link.reason else ""
        message = f"private link {link.name!r} is {link.status}{reason}"
        raise probe_failed("link", message, link.hint or "wait until it is running", cause=link.cause)
    await there.hub.probe(resource.deployment, to_config(resource, there.vault, links), actions)


def _view(there: Platform, resource: Resource) -> ResourceAnswer:
    found = there.hub.report(resource.deployment).status.resources.get(resource.id, Condition())
    told = {"status": found.status, "reason": found.reason, "hint": found.hint}
    return ResourceAnswer(**view(resource, there.vault).model_dump(), **told)
