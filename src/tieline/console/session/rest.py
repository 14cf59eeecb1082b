"""The REST interface as scripts use it, reached without a socket: the typed client on the application itself."""

from __future__ import annotations

import asyncio

import httpx
from fastapi import FastAPI

from tieline.client.errors import refused
from tieline.client.rest import TIMEOUT, Client, at
from tieline.cloud.agents.dead_letters import Letters, Replayed
from tieline.cloud.guard.identify import COOKIE
from tieline.cloud.schemas.answers import Identity, LinkTraffic, RuleMetrics, Traffic
from tieline.console.session import context
from tieline.console.session.credentials import Person

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

    def logout(self) -> None:
        """End the session."""
        self._send("DELETE", "/session")

    def check_link(self, deployment: str, service_name: str) -> None:
        """Raise ClientError unless a private link to this service could be created."""
        wanted = {"name": "check", "service_name": service_name}
        self._send("POST", at("deployments", deployment, "private-links", "check"), wanted)

    def traffic(self, deployment: str, seconds: float = 0, link: str = "") -> tuple[LinkTraffic, ...]:
        """What the private links carry, with samples of the last seconds."""
        query = httpx.QueryParams(seconds=seconds, link=link)
        return tuple(self._read(Traffic, "GET", f"{at('deployments', deployment, 'traffic')}?{query}").links)

    def change_password(self, old: str, new: str) -> None:
        """Change the own password."""
        self._send("PUT", "/session/password", {"old": old, "new": new})

    def rule_metrics(self, deployment: str, key: str) -> RuleMetrics:
        """A rule's counters, now and for as long as they are kept."""
        return self._read(RuleMetrics, "GET", at("deployments", deployment, "rules", key, "metrics"))

    def reset_metrics(self, deployment: str, key: str) -> None:
        """Count a rule from zero."""
        self._send("POST", at("deployments", deployment, "rules", key, "metrics", "reset"))

    def letters(self, deployment: str, rule: str = "", cursor: str = "") -> Letters:
        """Dead letters, a page of them."""
        query = httpx.QueryParams({k: v for k, v in (("rule", rule), ("cursor", cursor)) if v} | {"limit": 20})
        return self._read(Letters, "GET", f"{at('deployments', deployment, 'dead-letters')}?{query}")

    def replay(self, deployment: str, *ids: str) -> Replayed:
        """Give letters to their rules once more; without ids all of them."""
        return self._read(Replayed, "POST", at("deployments", deployment, "dead-letters", "replay"), {"ids": ids})

    def discard(self, deployment: str, *ids: str) -> None:
        """Forget letters; without ids all of them."""
        self._send("POST", at("deployments", deployment, "dead-letters", "discard"), {"ids": ids})

    def correct(self, deployment: str, letter: str, payload: str) -> None:
        """Change a letter's payload."""
        self._send("PATCH", at("deployments", deployment, "dead-letters", letter), {"message": {"payload": payload}})


def rest(person: Person, source: str = "") -> Rest:
    """The client of a person."""
    return Rest({person.header: person.value}, source)


async def logged_in(name: str, password: str, source: str) -> Person:
    """Somebody who proved the password; raises ClientError."""
    answer = await _asked("POST", {}, source, {"name": name, "password": password})
    return Person("Cookie", f"{COOKIE}={answer.cookies[COOKIE]}")


async def holder(person: Person, source: str) -> Person:
    """Somebody whose key REST knows; raises ClientError."""
    await _asked("GET", {person.header: person.value}, source)
    return person


async def _asked(
    method: str, headers: dict[str, str], source: str, body: dict[str, str] | None = None
) -> httpx.Response:
    """What REST answers about the session. No thread is taken: many who wait to log in must not keep others waiting."""
    transport = httpx.ASGITransport(context.current.app, raise_app_exceptions=False, client=(source or "127.0.0.1", 0))
    async with httpx.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
        answer = await client.request(method, f"{BASE}/session", json=body)
    if not answer.is_success:
        raise refused(answer)
    return answer
