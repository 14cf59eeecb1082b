"""What the guard remembers of people and programs: users, API keys, sessions; and who is asking now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from tieline.cloud.guard.roles import Role
from tieline.cloud.model.records import Name, Stored, Value

EVERY = "*"  # in place of project names: all of them, also those to come


class Grant(Value):
    """What somebody may do, and where."""

    role: Role = Role.OPERATOR
    projects: tuple[str, ...] = Field(default=(EVERY,), min_length=1, max_length=100, description="* for all")

    def covers(self, projects: Iterable[str]) -> bool:
        """Whether each of these projects is among its own."""
        return EVERY in self.projects or set(projects) <= set(self.projects)


class UserView(Grant):
    """A person who logs in with a password."""

    id: str
    name: Name
    created: str


class User(UserView, Stored):
    """The user as stored: of the password only an argon2id hash."""

    kind: ClassVar[str] = "user"
    hidden: ClassVar[frozenset[str]] = frozenset({"password"})
    password: str


class ApiKeyView(Grant):
    """A key for programs."""

    id: str
    name: Name
    created: str
    expires: str = Field(default="", description="RFC 3339; empty where it does not expire")


class ApiKey(ApiKeyView, Stored):
    """The key as stored: its hash alone. Its id begins the hash, so that a key is found without a search."""

    kind: ClassVar[str] = "api-key"
    hidden: ClassVar[frozenset[str]] = frozenset({"hash"})
    hash: str


class Session(Stored):
    """A login that a cookie stands for; its id is the hash of the cookie."""

    kind: ClassVar[str] = "session"
    audited: ClassVar[bool] = False
    user: str
    created: float
    seen: float  # when it was last used, to the minute


@dataclass(frozen=True)
class Caller:
    """Who is asking: by which means, with what rights, from which address."""

    name: str
    means: Literal["key", "user"]
    id: str
    grant: Grant
    source: str
    session: str = ""
