"""Who is signed in at the console: kept on the server, so that signing out ends it, wherever its cookie has gone."""

from __future__ import annotations

import secrets
from typing import ClassVar, TypeVar

from tieline.base.secrets import Vault, hashed
from tieline.cloud.model.records import Stored
from tieline.cloud.store.repository import Repository
from tieline.console.session.credentials import SECONDS, Keys, Person, opened, seal

COOKIE_BYTES = 32

T = TypeVar("T", Person, Keys)


class ConsoleSession(Stored):
    """Somebody who is signed in; its id is made of the hash of the cookie, and what REST or AWS is told is sealed."""

    kind: ClassVar[str] = "console-session"
    audited: ClassVar[bool] = False
    hidden: ClassVar[frozenset[str]] = frozenset({"sealed"})
    sealed: str
    until: float  # Unix time


class Sessions:
    """Begun, found by their cookie, and ended."""

    def __init__(self, records: Repository, vault: Vault) -> None:
        self._records, self._vault = records, vault

    def begin(self, credential: Person | Keys, now: float) -> str:
        """The cookie of a new session; those that are over are forgotten."""
        cookie = secrets.token_urlsafe(COOKIE_BYTES)
        sealed = seal(self._vault, credential, now)
        over = self._records.all(ConsoleSession, lambda one: one.until <= now)
        self._records.commit([ConsoleSession(id=_id(cookie), sealed=sealed, until=now + SECONDS)], over)
        return cookie

    def find(self, cookie: str | None, type: type[T], now: float) -> tuple[str, T] | None:
        """The session's id and the credential behind a cookie; None where it stands for nobody."""
        session = self._records.get(ConsoleSession, _id(cookie)) if cookie else None
        credential = opened(self._vault, session.sealed, type, now) if session is not None else None
        return (session.id, credential) if session is not None and credential is not None else None

    def alive(self, id: str, now: float) -> bool:
        """Whether a session is still there."""
        session = self._records.get(ConsoleSession, id)
        return session is not None and session.until > now

    def end(self, cookie: str | None) -> str:
        """End a session; its id, "" where there was none."""
        session = self._records.get(ConsoleSession, _id(cookie)) if cookie else None
        if session is None:
            return ""
        self._records.commit(delete=[session])
        return session.id


def _id(cookie: str) -> str:
    return f"cs-{hashed(cookie)}"
