"""What people ask of users, keys and sessions; nobody hands out more than they have."""

from __future__ import annotations

import secrets
import time
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from tieline.base.http.sources import source as source_of
from tieline.base.secrets import hashed, new_api_key, new_id
from tieline.cloud.guard.identify import alive, key_id, too_many
from tieline.cloud.guard.limits import LOGIN, SOURCE, Attempts
from tieline.cloud.guard.passwords import LONGEST, SHORTEST, guessable, hash_password, verify_password
from tieline.cloud.guard.records import EVERY, ApiKey, Caller, Grant, Session, User
from tieline.cloud.guard.roles import Role
from tieline.cloud.guard.turns import Crowded
from tieline.cloud.model.history import timestamp
from tieline.cloud.model.problems import PlatformError, name_taken, not_found
from tieline.cloud.model.records import Name
from tieline.cloud.store.repository import Repository

Password = SecretStr


def _new(password: SecretStr) -> SecretStr:
    """A password that is to be; raises ValueError."""
    if why := guessable(password.get_secret_value()):
        raise ValueError(why)
    return password


ChosenPassword = Annotated[SecretStr, Field(min_length=SHORTEST, max_length=LONGEST), AfterValidator(_new)]
COOKIE_BYTES = 32
DAY = 86400.0


class NewGrant(BaseModel):
    """A role, and the projects that it is for."""

    model_config = ConfigDict(extra="forbid")

    role: Role = Role.OPERATOR
    projects: tuple[Name, ...] = Field(default=(), max_length=100, description="none: all projects of the caller")


class NewUser(NewGrant):
    """A user to create."""

    name: Name
    password: ChosenPassword = Field(examples=["a passphrase of some words"])


class UserChange(BaseModel):
    """What to change about a user; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    role: Role | None = None
    projects: tuple[Name, ...] | None = Field(default=None, max_length=100)
    password: ChosenPassword | None = None


class NewKey(NewGrant):
    """An API key to create."""

    name: Name
    days: int | None = Field(default=None, ge=1, le=3650, description="after which it expires; never where not given")


class Login(BaseModel):
    """Who logs in."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=254, examples=["ada"])
    password: Password = Field(max_length=LONGEST, examples=["a passphrase of some words"])


async def create_user(records: Repository, caller: Caller, wanted: NewUser) -> User:
    """Record a user; raises PlatformError with nothing changed."""
    grant = granted(caller, wanted.role, wanted.projects)
    hash = await _hashed(wanted.password, caller)
    if records.all(User, lambda user: user.name == wanted.name):
        raise name_taken("user", wanted.name)
    created = timestamp(time.time())
    user = User(id=new_id("user"), name=wanted.name, password=hash, created=created, **grant.model_dump())
    records.commit(write=[user])
    return user


async def change_user(records: Repository, caller: Caller, user: User, wanted: UserChange) -> User:
    """Change role, projects or password; a new password or a smaller right ends the user's sessions."""
    role, projects = wanted.role or user.role, user.projects if wanted.projects is None else wanted.projects
    grant = granted(caller, role, projects)
    hash = await _hashed(wanted.password, caller) if wanted.password else user.password
    present = records.get(User, user.id)  # hashing took time
    if present is None:
        raise not_found("user", user.name)
    changed = present.model_copy(update={"role": grant.role, "projects": grant.projects, "password": hash})
    _check_last(records, present, changed)
    records.commit(write=[changed], delete=sessions_of(records, user) if changed != present else [])
    return records.get(User, user.id) or changed


async def change_password(records: Repository, caller: Caller, old: Password, new: Password) -> None:
    """A user changes the own password, which ends the other sessions; raises PlatformError."""
    user = records.get(User, caller.id) if caller.means == "user" else None
    if user is None:
        raise PlatformError(409, "NO_PASSWORD", "an API key has no password", "log in as a user")
    try:
        right = await verify_password(old.get_secret_value(), user.password, caller.id)
    except Crowded:
        raise too_many(1.0) from None
    hash = await _hashed(new, caller) if right else ""
    others = [session for session in sessions_of(records, user) if session.id != caller.session]
    present = records.get(User, user.id)
    if not right or present is None or present.password != user.password:  # somebody was faster
        raise PlatformError(403, "WRONG_PASSWORD", "the old password is not right", "try again")
    records.commit(write=[present.model_copy(update={"password": hash})], delete=others)


def delete_user(records: Repository, caller: Caller, user: User) -> None:
    """Remove a user and end the sessions; raises PlatformError for the last administrator."""
    granted(caller, user.role, user.projects)
    _check_last(records, user, None)
    records.commit(delete=[user, *sessions_of(records, user)])


def create_key(records: Repository, caller: Caller, wanted: NewKey) -> tuple[ApiKey, str]:
    """Record a key, and return it with its text, which is told once."""
    grant, now = granted(caller, wanted.role, wanted.projects), time.time()
    expires = timestamp(now + wanted.days * DAY) if wanted.days else ""
    if records.all(ApiKey, lambda key: key.name == wanted.name):
        raise name_taken("key", wanted.name)
    return record_key(records, wanted.name, grant, timestamp(now), expires)


def record_key(records: Repository, name: str, grant: Grant, created: str, expires: str = "") -> tuple[ApiKey, str]:
    """A new key of these rights."""
    token = new_api_key()
    rights = grant.model_dump()
    key = ApiKey(id=key_id(token), name=name, hash=hashed(token), created=created, expires=expires, **rights)
    records.commit(write=[key])
    return key, token


def revoke_key(records: Repository, caller: Caller, key: ApiKey) -> None:
    """Remove a key at once; raises PlatformError where nobody could administer any more."""
    granted(caller, key.role, key.projects)
    _check_last(records, key, None)
    records.commit(delete=[key])


class Entrance:
    """Logging in: slow for who guesses, and the same answer whether the name or the password was wrong."""

    def __init__(self, records: Repository) -> None:
        self._records = records
        self._failed, self._heard = Attempts(LOGIN), Attempts(SOURCE)

    async def login(self, wanted: Login, address: str) -> tuple[User, str]:
        """The user and the cookie of a new session; raises PlatformError 401, or 429 after too many failures.

        Counted are the failures for one name, and all that one source asks for.
        """
        source = source_of(address)
        place, now = f"{source} {wanted.name}", time.time()
        if wait := max(self._failed.wait(place, now), self._heard.wait(source, now)):
            raise too_many(wait)
        self._failed.add(place, now)  # before the slow part: guesses at the same time count, too
        self._heard.add(source, now)
        found = self._records.all(User, lambda user: user.name == wanted.name)
        hash = found[0].password if found else None
        try:
            right = await verify_password(wanted.password.get_secret_value(), hash, source)
        except Crowded:
            self._failed.give_back(place)
            raise too_many(1.0) from None
        present = self._records.get(User, found[0].id) if found else None
        if not right or present is None or present.password != hash:  # it took time: a new one ends the old at once
            raise PlatformError(401, "UNAUTHORIZED", "name or password is not right", "try again")
        self._failed.forget(place)
        self._heard.give_back(source)
        cookie, now = secrets.token_urlsafe(COOKIE_BYTES), time.time()
        session = Session(id=hashed(cookie), user=present.id, created=now, seen=now)
        ended = self._records.all(Session, lambda other: not alive(other, now))
        self._records.commit(write=[session], delete=ended)
        return present, cookie


async def _hashed(password: Password, caller: Caller) -> str:
    """The hash of a new password; raises PlatformError where the caller asks for too many at once."""
    try:
        return await hash_password(password.get_secret_value(), caller.id)
    except Crowded:
        raise too_many(1.0) from None


def logout(records: Repository, caller: Caller) -> None:
    """End the session that the request came with."""
    session = records.get(Session, caller.session) if caller.session else None
    if session is not None:
        records.commit(delete=[session])


def sessions_of(records: Repository, user: User) -> list[Session]:
    """The sessions of a user."""
    return records.all(Session, lambda session: session.user == user.id)


def granted(caller: Caller, role: Role, projects: tuple[str, ...]) -> Grant:
    """The right as it may be given or taken by the caller; raises PlatformError 403 beyond the caller's projects."""
    grant = Grant(role=role, projects=projects or caller.grant.projects)
    if not caller.grant.covers(grant.projects):
        message = f"{caller.name!r} is not for all of these projects: {', '.join(grant.projects)}"
        raise PlatformError(403, "FORBIDDEN", message, f"own projects: {', '.join(caller.grant.projects)}")
    return grant


def _check_last(records: Repository, before: User | ApiKey, after: User | ApiKey | None) -> None:
    """Somebody must remain who may do everything."""
    if not _full(before) or (after is not None and _full(after)):
        return
    remaining: list[User | ApiKey] = [*records.all(User, _full), *records.all(ApiKey, _full)]
    if all(other.id == before.id for other in remaining):
        message = f"{before.name!r} is the last administrator of all projects"
        raise PlatformError(409, "LAST_ADMINISTRATOR", message, "create another one first")


def _full(holder: User | ApiKey) -> bool:
    """Whether somebody may do everything, without an end."""
    for_ever = not (isinstance(holder, ApiKey) and holder.expires)
    return holder.role is Role.ADMINISTRATOR and EVERY in holder.projects and for_ever
