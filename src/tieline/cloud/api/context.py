"""What every operation starts from: who asks, on which platform, about which deployment."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Depends, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from tieline.cloud.platform import Platform
from tieline.cloud.problems import PlatformError, not_found
from tieline.cloud.records import ApiKey, Deployment, PrivateLink, Resource, Rule
from tieline.cloud.secrets import matches

bearer = HTTPBearer(auto_error=False, description="an API key")
Key = Annotated[str, Path(max_length=254, description="an id or a name")]

Item = TypeVar("Item", PrivateLink, Resource, Rule)


async def platform(request: Request) -> Platform:
    """The platform that the application was made for."""
    found: Platform = request.app.state.platform
    return found


async def caller(
    there: Annotated[Platform, Depends(platform)],
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> str:
    """The name of the API key that was sent; raises PlatformError 401."""
    if given is None:
        raise PlatformError(401, "UNAUTHORIZED", "no API key was sent", UNKNOWN_KEY)
    for key in there.records.all(ApiKey):
        if matches(given.credentials, key.hash):
            return key.name
    raise PlatformError(401, "UNAUTHORIZED", "this API key is not known here", UNKNOWN_KEY)


UNKNOWN_KEY = "send Authorization: Bearer <key>; the first key is in the file api-key of the platform's state directory"

There = Annotated[Platform, Depends(platform)]
Who = Annotated[str, Depends(caller)]


async def deployment(id: Key, there: There, _: Who) -> Deployment:
    """The deployment of the path, by id or name; raises PlatformError 404."""
    found = there.records.get(Deployment, id)
    if found is None:
        named = there.records.all(Deployment, lambda item: item.name == id)
        if not named:
            raise not_found("deployment", id)
        found = named[0]
    return found


Within = Annotated[Deployment, Depends(deployment)]


def item(there: Platform, type: type[Item], within: Deployment, key: str, what: str) -> Item:
    """A record of a deployment by id or name; raises PlatformError 404."""
    for found in there.records.all(type, lambda one: one.deployment == within.id):
        if key in (found.id, found.name):
            return found
    raise not_found(what, key)
