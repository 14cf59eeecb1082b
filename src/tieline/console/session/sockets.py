"""The lines of open pages: each belongs to the session that asked for its page, and ends with it.

NiceGUI itself takes whoever names a page's id. Its events are let through only where the cookies of the connection
stand for the page's own session, which is looked at with every event.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from nicegui import Client as Page
from nicegui import core, ui

from tieline.console.session.leaving import SECONDS as LEAVING_SECONDS
from tieline.console.session.sessions import Sessions

NAMESPACE = "/"
EVENTS = ("handshake", "event", "javascript_response", "ack", "log")  # all that NiceGUI hears, but for the ends
LOOK_SECONDS = 5.0  # between two looks for sessions that are over
SESSION, SESSIONS = "session", "sessions"  # in a request's state: of the page, and of all cookies that came with it

log = logging.getLogger(__name__)


def guard(sessions: Sessions) -> None:
    """Stand before what NiceGUI hears."""
    heard: dict[str, Callable[..., Any]] = core.sio.handlers[NAMESPACE]
    core.sio.on("connect", _connecting(sessions, heard["connect"]))
    for name in EVENTS:
        core.sio.on(name, _hearing(sessions, heard[name]))


def _connecting(sessions: Sessions, original: Callable[..., Any]) -> Callable[..., Any]:
    async def connect(sid: str, environ: dict[str, Any], auth: Any = None) -> bool | None:
        pages = parse_qs(environ.get("QUERY_STRING", "")).get("client_id", [])
        if not all(_may(sessions, environ, page) for page in pages):
            return False  # Socket.IO refuses the connection
        await original(sid, environ, auth)
        return None

    return connect


def _hearing(sessions: Sessions, original: Callable[..., Any]) -> Callable[..., Any]:
    async def hear(sid: str, said: Any = None, *_: Any) -> Any:
        if not isinstance(said, dict) or not _may(sessions, core.sio.get_environ(sid) or {}, said.get("client_id")):
            return False
        answer = original(sid, said)
        return await answer if inspect.isawaitable(answer) else answer

    return hear


def _may(sessions: Sessions, environ: dict[str, Any], page: object) -> bool:
    """Whether who opened a connection is whom a page was made for, and still signed in."""
    found = Page.instances.get(page) if isinstance(page, str) else None
    if found is None:
        return True  # a page that is gone: NiceGUI says so, and the browser loads it again
    scope = environ.get("asgi.scope", {})
    owner = session_of(found)
    return owner in scope.get("state", {}).get(SESSIONS, ()) and sessions.alive(owner, time.time())


def session_of(page: Page) -> str:
    """The session that a page was made for; "" for one that was made for nobody."""
    state = page.request.scope.get("state", {})
    return str(state.get(SESSION, ""))


def close(session: str) -> None:
    """Send the browsers that show a session's pages to the form, and forget these pages."""
    loop = asyncio.get_running_loop()
    for page in list(Page.instances.values()):
        if session and session_of(page) == session:
            with page:
                ui.navigate.to("/sign-in")
            loop.call_later(LEAVING_SECONDS, _forget, page)


def _forget(page: Page) -> None:
    if not page.is_deleted:
        page.delete()


async def watch(sessions: Sessions) -> None:
    """For ever: close the pages of sessions that are over."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            for session in {session_of(page) for page in Page.instances.values()} - {""}:
                if not sessions.alive(session, time.time()):
                    close(session)
        except Exception:
            log.exception("the sessions of open pages could not be looked at")
