"""REST: users, their roles and passwords."""

from __future__ import annotations

from fastapi import APIRouter

from tieline.cloud.api.common.context import Asked, Asking, Key, Records, There
from tieline.cloud.api.common.errors import documented
from tieline.cloud.api.common.once import Once
from tieline.cloud.guard.records import Caller, User, UserView
from tieline.cloud.guard.service import NewUser, UserChange, change_user, create_user, delete_user
from tieline.cloud.model.pages import cut
from tieline.cloud.model.problems import not_found
from tieline.cloud.platform.platform import Platform
from tieline.cloud.schemas.answers import Users

router = APIRouter(prefix="/users", tags=["users"], route_class=Once)


@router.get("", name="list")
async def list_users(there: There, asking: Asking, asked: Asked) -> Users:
    """The users within the caller's projects, in order of id."""
    chosen, cursor = cut(there.records.all(User, lambda user: asking.grant.covers(user.projects)), asked)
    return Users(users=[_view(user) for user in chosen], next_cursor=cursor)


@router.post("", status_code=201, responses=documented(409))
async def create(records: Records, asking: Asking, wanted: NewUser) -> UserView:
    """Create a user with a password, a role, and the projects that it is for."""
    return _view(await create_user(records, asking, wanted))


@router.get("/{user}", responses=documented(404))
async def get(there: There, asking: Asking, user: Key) -> UserView:
    """One user by id or name."""
    return _view(_found(there, asking, user))


@router.patch("/{user}", responses=documented(404, 409))
async def change(there: There, records: Records, asking: Asking, user: Key, wanted: UserChange) -> UserView:
    """Change role, projects or password; the user's sessions end."""
    return _view(await change_user(records, asking, _found(there, asking, user), wanted))


@router.delete("/{user}", status_code=204, responses=documented(404, 409))
async def delete(there: There, records: Records, asking: Asking, user: Key) -> None:
    """Delete a user; the sessions end at once."""
    delete_user(records, asking, _found(there, asking, user))


def _found(there: Platform, asking: Caller, key: str) -> User:
    for user in there.records.all(User, lambda user: key in (user.id, user.name)):
        if asking.grant.covers(user.projects):
            return user
    raise not_found("user", key)


def _view(user: User) -> UserView:
    return UserView.model_validate(user.model_dump(exclude={"password"}))
