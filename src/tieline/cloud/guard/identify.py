"""Who sent a request: by API key or by session cookie, slowed down where too many guesses came from there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from tieline.base.http.sources import source as source_of
from tieline.base.secrets import hashed, matches
from tieline.cloud.guard.limits import KEYS, REQUESTS, Attempts
from tieline.cloud.guard.records import ApiKey, Caller, Grant, Session, User
from tieline.cloud.model.history import moment
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.store.repository import Repository

COOKIE = "tieline_session"
IDLE_SECONDS = 12 * 3600.0  # after so long without a request a session ends
LONGEST_SECONDS = 7 * 86400.0  # and after so long in any case
SEEN_SECONDS = 60.0  # how exactly the last use is written down
KEY_ID_LENGTH = 16  # hexadecimal digits of the hash that make the id
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
UNKNOWN = "send Authorization: Bearer <key>; the first key is in the file api-key of the platform's state directory"


class Doorkeeper:
    """Finds out who asks. Raises PlatformError 401 where nobody is known, 429 after too many wrong keys."""

    def __init__(self, records: Repository) -> None:
        self._records = records
        self._wrong = Attempts(KEYS)
        self._asked = Attempts(REQUESTS)

    def identify(self, connection: HTTPConnection, method: str) -> Caller:
        """The caller of a request; raises PlatformError 429, too, for one who asks too often."""
        found, now = self._find(connection, method), time.time()
        if wait := self._asked.wait(found.id, now):
            raise too_many(wait, "requests")
        self._asked.add(found.id, now)
        return found

    def _find(self, connection: HTTPConnection, method: str) -> Caller:
        source, now = address(connection), time.time()
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            return self._by_key(token.strip(), source, now)
        cookie = connection.cookies.get(COOKIE)
        if cookie and scheme == "":
            _check_origin(connection, method)
            return self._by_session(cookie, source, now)
        raise PlatformError(401, "UNAUTHORIZED", "no API key was sent, and no session cookie", UNKNOWN)

    def _by_key(self, token: str, source: str, now: float) -> Caller:
        key = self._records.get(ApiKey, key_id(token))
        if key is not None and matches(token, key.hash) and not (key.expires and moment(key.expires) <= now):
            return Caller(key.name, "key", key.id, Grant(role=key.role, projects=key.projects), source)
        sender = source_of(source)
        if wait := self._wrong.wait(sender, now):
            raise too_many(wait)
        self._wrong.add(sender, now)
        raise PlatformError(401, "UNAUTHORIZED", "this API key is not known here, or has expired", UNKNOWN)

    def _by_session(self, cookie: str, source: str, now: float) -> Caller:
        session = self._records.get(Session, hashed(cookie))
        user = self._records.get(User, session.user) if session and alive(session, now) else None
        if session is None or user is None:
            raise PlatformError(401, "UNAUTHORIZED", "the session has ended", "log in again")
        if now - session.seen > SEEN_SECONDS:
            self._records.update(Session, session.id, lambda found: found.model_copy(update={"seen": now}))
        return Caller(user.name, "user", user.id, Grant(role=user.role, projects=user.projects), source, session.id)


def alive(session: Session, now: float) -> bool:
    """Whether a session is still good."""
    return now - session.seen < IDLE_SECONDS and now - session.created < LONGEST_SECONDS


def key_id(token: str) -> str:
    """The id of an API key's record."""
    return f"key-{hashed(token)[:KEY_ID_LENGTH]}"


def address(connection: HTTPConnection) -> str:
    """Where a request came from; "" where that is not known."""
    return connection.client.host if connection.client else ""


def too_many(wait: float, what: str = "failed attempts") -> PlatformError:
    """The answer to a guess after too many others, or to one request too many."""
    seconds = max(1, round(wait))
    code = "TOO_MANY_ATTEMPTS" if what == "failed attempts" else "TOO_MANY_REQUESTS"
    error = PlatformError(429, code, f"too many {what}", f"wait {seconds} s")
    error.headers["Retry-After"] = str(seconds)
    return error


def _check_origin(connection: HTTPConnection, method: str) -> None:
    """A browser sends the cookie with requests that other sites make: those must not change anything."""
    headers: Mapping[str, str] = connection.headers
    origin = headers.get("origin")
    foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
    if origin is not None:
        foreign = foreign or urlsplit(origin).netloc != headers.get("host")
    if foreign and method not in SAFE:
        raise PlatformError(403, "FOREIGN_ORIGIN", "another site sent this request", "use the platform's own pages")
