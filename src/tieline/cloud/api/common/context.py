"""What every operation starts from: who asks, on which platform, about which deployment, over which version."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Depends, Header, Path, Query, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import APIKeyCookie, HTTPBearer

from tieline.cloud.guard.identify import COOKIE
from tieline.cloud.guard.records import Caller
from tieline.cloud.guard.roles import permitted
from tieline.cloud.model.pages import Page
from tieline.cloud.model.problems import PlatformError, not_found
from tieline.cloud.model.records import Deployment, MqttUser, PrivateLink, Resource, Rule, Stored
from tieline.cloud.platform.platform import Platform
from tieline.cloud.store.audit import Actor
from tieline.cloud.store.edits import etag
from tieline.cloud.store.repository import Repository

bearer = HTTPBearer(auto_error=False, description="an API key")
cookie = APIKeyCookie(name=COOKIE, auto_error=False, description="a session, as POST /api/v1/session makes it")
Key = Annotated[str, Path(max_length=254, description="an id or a name", examples=["demo"])]
Asked = Annotated[Page, Query()]
IfMatch = Annotated[
    str | None,
    Header(max_length=1000, description="the ETag of what was read: 412 where it was changed since", examples=["*"]),
]

Item = TypeVar("Item", MqttUser, PrivateLink, Resource, Rule)


async def platform(request: Request) -> Platform:
    """The platform that the application was made for."""
    found: Platform = request.app.state.platform
    return found


def operation_id(route: APIRoute) -> str:
    """The name of an operation in the table of roles and in the interface's description: `rules_create`."""
    return f"{str(route.tags[0]).replace(' ', '_')}_{route.name}"


def admitted(request: Request) -> Caller:
    """Who asks; raises PlatformError 401 where nobody is known, 403 where the role may not do this operation."""
    known: Caller | None = getattr(request.state, "caller", None)
    if known is not None:
        return known
    there: Platform = request.app.state.platform
    found = there.doorkeeper.identify(request, request.method)
    operation = operation_id(request.scope["route"])
    if not permitted(found.grant.role, operation):
        message = f"{found.name!r} has the role {found.grant.role}, which may not {operation}"
        raise PlatformError(403, "FORBIDDEN", message, "ask an administrator for a role that may")
    request.state.caller = found
    return found


async def caller(
    request: Request,
    _: Annotated[object, Depends(bearer)],
    __: Annotated[object, Depends(cookie)],
) -> Caller:
    """Who asks; the two credentials are named for the description of the interface."""
    return admitted(request)


There = Annotated[Platform, Depends(platform)]
Asking = Annotated[Caller, Depends(caller)]


async def who(asking: Asking) -> str:
    """The name for a record's history."""
    return asking.name


async def records(request: Request, there: There, asking: Asking) -> Repository:
    """The records, for changes that are written to the audit log as the caller's."""
    operation = operation_id(request.scope["route"])
    return there.records.acting(Actor(who=asking.name, means=asking.means, source=asking.source, operation=operation))


Who = Annotated[str, Depends(who)]
Records = Annotated[Repository, Depends(records)]


async def deployment(id: Key, there: There, asking: Asking) -> Deployment:
    """The deployment of the path, by id or name; raises PlatformError 404, also for one of a foreign project."""
    found = there.records.get(Deployment, id)
    if found is None:
        named = there.records.all(Deployment, lambda item: item.name == id)
        found = named[0] if named else None
    if found is None or not asking.grant.covers([found.project]):
        raise not_found("deployment", id)
    return found


Within = Annotated[Deployment, Depends(deployment)]


def item(there: Platform, type: type[Item], within: Deployment, key: str, what: str) -> Item:
    """A record of a deployment by id or name; raises PlatformError 404."""
    direct = there.records.get(type, key)
    if direct is not None and direct.deployment == within.id:
        return direct
    for found in there.records.all(type, lambda one: one.deployment == within.id):
        if found.name == key:
            return found
    raise not_found(what, key)


def everywhere(there: Platform, type: type[Item], asking: Caller) -> list[Item]:
    """The records of all deployments of the caller's projects, in order of id."""
    within = {one.id for one in there.records.all(Deployment, lambda one: asking.grant.covers([one.project]))}
    return there.records.all(type, lambda one: one.deployment in within)


def tagged(response: Response, record: Stored) -> None:
    """Tell the entity tag to send as If-Match with an edit."""
    response.headers["ETag"] = etag(record)
