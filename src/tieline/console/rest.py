"""The REST interface as scripts use it, reached without a socket: the typed client on the application itself."""

from __future__ import annotations

import asyncio

import httpx
from fastapi import FastAPI

from tieline.cloud.answers import Identity
from tieline.cloud.client import TIMEOUT, Client, at
from tieline.cloud.guard.identify import COOKIE
from tieline.console import context
from tieline.console.credentials import Person

BASE = "http://platform/api/v1"


class InProcess(httpx.BaseTransport):
    """Hands each request, from any thread, to the application in its event loop. `source` is the browser's address."""

    def __init__(self, app: FastAPI, loop: asyncio.AbstractEventLoop, source: str) -> None:
        self._asgi = httpx.ASGITransport(app, raise_app_exceptions=False, client=(source or "127.0.0.1", 0))
        self._loop = loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The application's whole answer."""
        return asyncio.run_coroutine_threadsafe(self._answer(request), self._loop).result()

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        response = await self._asgi.handle_async_request(request)
        content = await response.aread()
        return httpx.Response(response.status_code, headers=response.headers, content=content)


class Rest(Client):
    """The client for somebody who is signed in to the console; `source` is the browser's address."""

    def __init__(self, headers: dict[str, str], source: str = "") -> None:
        console = context.current
        assert console.loop is not None, "whoever asks is served by the loop"
        self._http = httpx.Client(
            transport=InProcess(console.app, console.loop, source), base_url=BASE, headers=headers, timeout=TIMEOUT
        )

    def identity(self) -> Identity:
        """Who the caller is, and what the caller may."""
        return self._read(Identity, "GET", "/session")

    def login(self, name: str, password: str) -> Person:
        """Log in as a user; the session is the answer's cookie."""
        answer = self._send("POST", "/session", {"name": name, "password": password})
        return Person("Cookie", f"{COOKIE}={answer.cookies[COOKIE]}")

    def logout(self) -> None:
        """End the session."""
        self._send("DELETE", "/session")

    def check_link(self, deployment: str, service_name: str) -> None:
        """Raise ClientError unless a private link to this service could be created."""
        wanted = {"name": "check", "service_name": service_name}
        self._send("POST", at("deployments", deployment, "private-links", "check"), wanted)


def rest(person: Person, source: str = "") -> Rest:
    """The client of a person."""
    return Rest({person.header: person.value}, source)


def logged_in(name: str, password: str, source: str) -> Person:
    """Somebody who proved the password; raises ClientError."""
    with Rest({}, source) as client:
        return client.login(name, password)
