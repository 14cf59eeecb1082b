"""REST: API keys."""

from __future__ import annotations

from fastapi import APIRouter

from tieline.cloud.api.common.context import Asked, Asking, Key, Records, There
from tieline.cloud.api.common.errors import documented
from tieline.cloud.api.common.once import Once
from tieline.cloud.guard.records import ApiKey, ApiKeyView
from tieline.cloud.guard.service import NewKey, create_key, revoke_key
from tieline.cloud.model.pages import cut
from tieline.cloud.model.problems import not_found
from tieline.cloud.schemas.answers import ApiKeys, CreatedApiKey

router = APIRouter(prefix="/keys", tags=["keys"], route_class=Once)


@router.get("", name="list")
async def list_keys(there: There, asking: Asking, asked: Asked) -> ApiKeys:
    """The keys within the caller's projects, in order of id; never their text."""
    chosen, cursor = cut(there.records.all(ApiKey, lambda key: asking.grant.covers(key.projects)), asked)
    return ApiKeys(keys=[_view(key) for key in chosen], next_cursor=cursor)


@router.post("", status_code=201, responses=documented(409))
async def create(records: Records, asking: Asking, wanted: NewKey) -> CreatedApiKey:
    """Create a key; its text is in this answer and nowhere else."""
    key, token = create_key(records, asking, wanted)
    return CreatedApiKey(**_view(key).model_dump(), key=token)


@router.delete("/{key}", status_code=204, responses=documented(404, 409))
async def revoke(there: There, records: Records, asking: Asking, key: Key) -> None:
    """Revoke a key: from now on it opens nothing."""
    for found in there.records.all(ApiKey, lambda item: key in (item.id, item.name)):
        if asking.grant.covers(found.projects):
            return revoke_key(records, asking, found)
    raise not_found("key", key)


def _view(key: ApiKey) -> ApiKeyView:
    return ApiKeyView.model_validate(key.model_dump(exclude={"hash"}))
