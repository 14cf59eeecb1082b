"""A session of the console lives on the server: it ends there, for every copy of its cookie and every open page."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from console.test_safety import ask, cookie_of
from tieline.base.secrets import Vault
from tieline.client.rest import Client
from tieline.cloud.store.repository import Repository
from tieline.console.session.credentials import SECONDS, Keys, Person
from tieline.console.session.sessions import ConsoleSession, Sessions
from tieline.store import SQLiteStore
from world.running import Tieline

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]
HANDSHAKE = {"tab_id": "tab", "old_tab_id": None, "document_id": "document", "next_message_id": 0}


@pytest.fixture
def key(tieline: Tieline) -> str:
    return (tieline.state / "api-key").read_text().strip()


@pytest.fixture
def cookies(tieline: Tieline, key: str) -> dict[str, str]:
    return cookie_of(ask(tieline, "POST", "/sign-in", data={"key": key}))


def opened(tieline: Tieline, cookies: dict[str, str], path: str = "/deployments") -> str:
    """The id of a page that was asked for."""
    answer = ask(tieline, "GET", path, cookies=cookies)
    assert answer.status_code == 200
    found = re.search(r"""client_id["']?:\s*["']([0-9a-f-]{36})["']""", answer.text)
    assert found is not None, answer.text[:2000]
    return found[1]


class Refused(Exception):
    """The line was not let in."""


class Line:
    """A page's own line, as the browser makes it, or somebody who knows its id (Socket.IO's protocol, version 5)."""

    def __init__(self, tieline: Tieline, page: str, cookies: dict[str, str]) -> None:
        self.page, self._numbers = page, itertools.count(1)
        self.heard: list[str] = []
        self._stack = contextlib.ExitStack()
        query = f"EIO=4&transport=websocket&client_id={page}&tab_id=tab&document_id=document&next_message_id=0"
        url = f"{tieline.rest.replace('http', 'ws', 1)}/console/_nicegui_ws/socket.io/?{query}"
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())} if cookies else {}
        try:
            self.socket = self._stack.enter_context(connect(url, additional_headers=headers, proxy=None))
        except InvalidStatus as refused:
            raise Refused(refused.response.status_code) from refused
        assert self._next().startswith("0{")
        self.socket.send("40")
        if not (answer := self._next()).startswith("40"):
            self._stack.close()
            raise Refused(answer)

    def _next(self) -> str:
        while (frame := str(self.socket.recv(timeout=60))) == "2":
            self.socket.send("3")
        return frame

    def ask(self, event: str, said: dict[str, Any]) -> Any:
        """What the server answers to an event."""
        number = next(self._numbers)
        self.socket.send(f"42{number}{json.dumps([event, said])}")
        while not (frame := self._next()).startswith(f"43{number}["):
            self.heard.append(frame)
        return next(iter(json.loads(frame.removeprefix(f"43{number}"))), None)

    def wait_for(self, event: str) -> None:
        """Return when the server has sent an event."""
        while not any(f'["{event}"' in frame for frame in self.heard):
            self.heard.append(self._next())

    def handshake(self) -> bool:
        return bool(self.ask("handshake", {"client_id": self.page, **HANDSHAKE}))

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


@pytest.fixture
def stranger(tieline: Tieline, client: Client) -> Iterator[dict[str, str]]:
    """Somebody else who is signed in."""
    made = client.create_key(name=f"stranger-{secrets.token_hex(4)}", role="auditor")
    yield cookie_of(ask(tieline, "POST", "/sign-in", data={"key": made.key}))
    client.revoke_key(made.id)


def test_a_copy_of_the_cookie_is_worth_nothing_after_signing_out(tieline: Tieline, cookies: dict[str, str]) -> None:
    copy = dict(cookies)
    assert ask(tieline, "GET", "/deployments", cookies=copy).status_code == 200
    ask(tieline, "POST", "/sign-out", cookies=cookies)
    for path in ("/", "/deployments", "/access"):
        assert ask(tieline, "GET", path, cookies=copy).status_code == 303


def test_signing_out_closes_every_page_of_the_session_and_no_other(
    tieline: Tieline, cookies: dict[str, str], stranger: dict[str, str]
) -> None:
    with (
        Line(tieline, opened(tieline, cookies), cookies) as own,
        Line(tieline, opened(tieline, stranger), stranger) as other,
    ):
        assert own.handshake() and other.handshake()
        ask(tieline, "POST", "/sign-out", cookies=cookies)
        own.wait_for("open")  # the way to the form
        assert own.ask("event", {"client_id": own.page, "id": 1}) is False
        assert other.ask("ack", {"client_id": other.page, "next_message_id": 0}) is None
        assert not [frame for frame in other.heard if '["open"' in frame]
    with pytest.raises(Refused):
        Line(tieline, own.page, cookies)


@pytest.mark.parametrize("who", ["nobody", "stranger", "forger"])
def test_who_knows_a_pages_id_is_not_let_to_it(
    tieline: Tieline, cookies: dict[str, str], stranger: dict[str, str], who: str
) -> None:
    page = opened(tieline, cookies)
    theirs = {"nobody": {}, "stranger": stranger, "forger": dict.fromkeys(cookies, "x" * 43)}[who]
    with pytest.raises(Refused):
        Line(tieline, page, theirs)
    if who != "stranger":
        polling = f"/_nicegui_ws/socket.io/?EIO=4&transport=polling&client_id={page}"
        assert ask(tieline, "GET", polling, cookies=theirs).status_code == 401
    with Line(tieline, page, cookies) as own:  # the page is there for its own
        assert own.handshake()


def test_a_line_of_ones_own_page_does_not_reach_anothers(
    tieline: Tieline, cookies: dict[str, str], stranger: dict[str, str]
) -> None:
    page = opened(tieline, cookies)
    with Line(tieline, page, cookies) as own, Line(tieline, opened(tieline, stranger), stranger) as line:
        assert own.handshake() and line.handshake()
        for event in ("handshake", "event", "javascript_response", "ack", "log"):
            said: dict[str, Any] = {
                "client_id": page,
                "id": 1,
                "level": "error",
                "message": "forged",
                "request_id": "x",
            }
            assert line.ask(event, said | HANDSHAKE) is False
    assert "forged" not in tieline_log(tieline)


def tieline_log(tieline: Tieline) -> str:
    return "".join(file.read_text(errors="replace") for file in tieline.state.glob("*.log"))


def test_signing_in_again_ends_what_was_before(tieline: Tieline, cookies: dict[str, str], key: str) -> None:
    again = cookie_of(ask(tieline, "POST", "/sign-in", data={"key": key}, cookies=cookies))
    assert ask(tieline, "GET", "/deployments", cookies=cookies).status_code == 303
    assert ask(tieline, "GET", "/deployments", cookies=again).status_code == 200
    assert httpx.get(f"{tieline.rest}/healthz", trust_env=False).status_code == 200


def test_a_session_ends_with_its_time_and_is_forgotten(tmp_path: Path) -> None:
    records, vault, began = Repository(SQLiteStore(tmp_path / "store")), Vault(Fernet.generate_key()), 1_800_000_000.0
    sessions = Sessions(records, vault)
    cookie = sessions.begin(Person("Authorization", "Bearer tlk_x"), began)
    found = sessions.find(cookie, Person, began + SECONDS - 1)
    assert found is not None and found[1].value == "Bearer tlk_x" and sessions.alive(found[0], began + SECONDS - 1)
    assert sessions.find(cookie, Keys, began) is None  # of another kind
    assert sessions.find(cookie, Person, began + SECONDS) is None and not sessions.alive(found[0], began + SECONDS)
    assert cookie not in str(records.all(ConsoleSession)) and "tlk_x" not in str(records.all(ConsoleSession))
    sessions.begin(Keys("AKIA", "secret"), began + SECONDS)
    assert len(records.all(ConsoleSession)) == 1
    records.close()
