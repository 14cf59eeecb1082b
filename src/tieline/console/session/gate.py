"""Stands before every page: lets in who is signed in, and answers no other site's requests."""

from __future__ import annotations

import time
from urllib.parse import quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tieline.console.session.credentials import PERSON_COOKIE, PROVIDER_COOKIE, Keys, Person
from tieline.console.session.sessions import Sessions
from tieline.console.session.sockets import SESSION, SESSIONS

PREFIX = "/console"
OPEN = ("/_nicegui", "/sign-in", "/sign-out", "/favicon")  # what needs nobody to be known
SOCKETS = "/_nicegui_ws"  # the lines of open pages
PROVIDER = "/provider"
# Vue compiles templates in the browser, hence unsafe-eval; nothing is loaded from anywhere else.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "object-src 'none'; form-action 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


class Gate:
    """ASGI middleware of the pages' application."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, redirect to a sign-in page, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if _foreign(connection):
            await PlainTextResponse("another site sent this request", 403)(scope, receive, send)
            return
        path = scope["path"].removeprefix(PREFIX)
        if path.startswith(SOCKETS) and not self._known(connection):
            await PlainTextResponse("sign in first", 401)(scope, receive, send)
            return
        if scope["type"] == "http" and not path.startswith(OPEN) and (there := self._sign_in(connection, path)):
            await RedirectResponse(there, 303)(scope, receive, send)
            return
        await self._app(scope, receive, _guarded(send))

    def _sign_in(self, connection: HTTPConnection, path: str) -> str:
        """Where somebody unknown is sent; "" where the person is known, who is then in the request's state."""
        provider = path == PROVIDER or path.startswith(f"{PROVIDER}/")
        cookie, now = connection.cookies.get(PROVIDER_COOKIE if provider else PERSON_COOKIE), time.time()
        known = self._sessions.find(cookie, Keys, now) if provider else self._sessions.find(cookie, Person, now)
        if known is None:
            return f"{PREFIX}/sign-in{PROVIDER if provider else ''}?next={quote(path or '/')}"
        session, credential = known
        connection.scope.setdefault("state", {}).update({"credential": credential, SESSION: session})
        return ""

    def _known(self, connection: HTTPConnection) -> bool:
        """Whether anybody is signed in where a line comes from; it is in its state who."""
        cookies, now = connection.cookies, time.time()
        person = self._sessions.find(cookies.get(PERSON_COOKIE), Person, now)
        provider = self._sessions.find(cookies.get(PROVIDER_COOKIE), Keys, now)
        found = frozenset(id for id, _ in filter(None, (person, provider)))
        connection.scope.setdefault("state", {})[SESSIONS] = found
        return bool(found)


def _foreign(connection: HTTPConnection) -> bool:
    """Whether a page of another site makes the browser ask: its Origin is not where it asks."""
    origin = connection.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != connection.headers.get("host")


def _guarded(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return with_headers
