"""REST: logging in with a password, which sets a cookie, and out again."""

from __future__ import annotations

import time
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from tieline.base.http.sources import source as source_of
from tieline.cloud.api.common.context import Asking, Records, There
from tieline.cloud.api.common.errors import documented
from tieline.cloud.guard.identify import COOKIE, LONGEST_SECONDS, address
from tieline.cloud.guard.passwords import LONGEST
from tieline.cloud.guard.service import ChosenPassword, Login, Password, change_password, logout
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.platform.platform import Platform
from tieline.cloud.schemas.answers import Identity
from tieline.cloud.store.audit import Actor

router = APIRouter(prefix="/session", tags=["session"])


class NewPassword(BaseModel):
    """The password as it is and as it shall be."""

    model_config = ConfigDict(extra="forbid")

    old: Password = Field(max_length=LONGEST)
    new: ChosenPassword


@router.post("", responses=documented(401, 422, 429))
async def login(there: There, request: Request, response: Response, wanted: Login) -> Identity:
    """Log in; the cookie of the answer stands for the user until logout, or half a day without a request."""
    source = address(request)
    try:
        user, cookie = await there.entrance.login(wanted, source)
    except PlatformError as error:
        refused = f"login refused: {error.code}"
        if error.status != HTTPStatus.TOO_MANY_REQUESTS:
            _note(there, wanted.name, source, refused)
        elif (more := there.unheard.count(source_of(source), time.time())) is not None:
            _note(there, wanted.name, source, f"{refused}, and {more} more before it" if more else refused)
        raise
    _note(there, user.name, source, "login")
    response.set_cookie(
        COOKIE,
        cookie,
        max_age=int(LONGEST_SECONDS),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",  # a browser keeps a secure cookie away from plain http
    )
    return Identity(name=user.name, means="user", role=user.role, projects=user.projects)


@router.get("", responses=documented(401, 403, 429))
async def show(asking: Asking) -> Identity:
    """Who the caller is, and what the caller may."""
    grant = asking.grant
    return Identity(name=asking.name, means=asking.means, role=grant.role, projects=grant.projects)


@router.put("/password", status_code=204, responses=documented(401, 403, 409, 422, 429))
async def password(records: Records, asking: Asking, wanted: NewPassword) -> None:
    """Change the own password; the other sessions end."""
    await change_password(records, asking, wanted.old, wanted.new)


@router.delete("", name="logout", status_code=204, responses=documented(401, 403, 429))
async def log_out(there: There, records: Records, asking: Asking, response: Response) -> None:
    """Log out: the cookie stands for nobody any more."""
    logout(records, asking)
    if asking.session:
        _note(there, asking.name, asking.source, "logout")
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _note(there: Platform, name: str, source: str, event: str) -> None:
    actor = Actor(who=name, means="login", source=source, operation="session_login")
    there.records.audit.write(there.records.audit.event(actor, event, "session", "", name))
