"""The webhook against a real HTTP server: requests, answers of every kind, and each hop of its Test."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from certificates import Authority
from integration.sinks.trying import CLOSED, failing, write, writing
from tieline.integration.config.shapes import Ssl
from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.http.sink import Http, HttpRequest
from tieline.integration.worker.probe import probe

NAME = "hooks.customer.example"


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: str


class Handler(BaseHTTPRequestHandler):
    """Keeps each request, and answers with the status that its path names: /status/503."""

    protocol_version = "HTTP/1.1"
    server: Hook

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(Request(self.command.lower(), self.path, headers, body))
        status = int(self.path.rpartition("/status/")[2].partition("?")[0]) if "/status/" in self.path else 204
        if "poison" in body:
            status = 422
        self.send_response(status)
        self.send_header("content-length", "0")
        if status == 302:
            self.send_header("location", "http://127.0.0.1:1/")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

    def log_message(self, *_: object) -> None:
        return


class Hook(ThreadingHTTPServer):
    """A server on a free port of loopback."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[Request] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Hook:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        yield server


def resource(hook: Hook, /, **changes: Any) -> Http:
    known: dict[str, Any] = {"id": "ht", "url": hook.url, "connect_timeout": 2.0, "write_timeout": 3.0}
    return Http(**(known | changes))


def action(**changes: Any) -> HttpRequest:
    return HttpRequest(id="a", resource="ht", **changes)


async def test_requests_arrive(hook: Hook) -> None:
    what = action(path="/devices/${id}?t=${t}", method="put", headers={"x-device": "${id}"}, body='{"t": ${t}}')
    await write(resource(hook, headers={"x-all": "1"}, authorization="Bearer s"), what, [{"id": "a", "t": 1.5}])
    (request,) = hook.requests
    assert (request.method, request.path, request.body) == ("put", "/devices/a?t=1.5", '{"t": 1.5}')
    assert (request.headers["x-device"], request.headers["x-all"]) == ("a", "1")
    assert request.headers["authorization"] == "Bearer s"


async def test_the_defaults(hook: Hook) -> None:
    outputs = [{"n": n} for n in range(100)]
    await write(resource(hook, username="u", password="p"), action(), outputs)
    assert sorted(json.loads(request.body)["n"] for request in hook.requests) == list(range(100))
    (kinds,) = {(r.method, r.path, r.headers["content-type"], r.headers["authorization"]) for r in hook.requests}
    assert kinds == ("post", "/", "application/json", "Basic dTpw")


async def test_a_payload_cannot_change_a_request(hook: Hook) -> None:
    with pytest.raises(Rejected) as caught:
        outputs = [{"id": "../admin?x=1#&/"}, {"id": "a\r\nx-evil: 1"}, {"id": "日"}]
        await write(resource(hook), action(path="d/${id}/x", headers={"x-id": "${id}"}), outputs)
    assert list(caught.value.rows) == [1]
    assert sorted(caught.value.written) == [0, 2]
    assert sorted(request.path for request in hook.requests) == ["/d/%E6%97%A5/x", "/d/..%2Fadmin%3Fx%3D1%23%26%2F/x"]


@pytest.mark.parametrize(
    ("path", "hop"),
    [
        ("503", "database"),
        ("429", "database"),
        ("401", "login"),
        ("403", "login"),
        ("404", "statement"),
        ("302", "statement"),
    ],
)
async def test_answers_that_are_tried_again(hook: Hook, path: str, hop: str) -> None:
    with pytest.raises(Unavailable) as caught:
        await write(resource(hook), action(path=f"/status/{path}"), [{"a": 1}])
    assert (caught.value.hop, path in caught.value.cause, bool(caught.value.hint)) == (hop, True, True)
    assert len(hook.requests) == 1


async def test_a_poison_row_is_named_and_the_others_are_told_as_written(hook: Hook) -> None:
    with pytest.raises(Rejected) as caught:
        await write(resource(hook), action(), [{"a": 1}, {"a": "poison"}, {"a": 2}])
    assert caught.value.rows == {1: "HTTP 422"}
    assert sorted(caught.value.written) == [0, 2]


async def test_a_server_that_closes_is_tried_again() -> None:
    with Hook() as server:
        what = resource(server)
    async with writing(what, action()) as writer:
        with pytest.raises(Unavailable) as caught:
            await writer.write([{"a": 1}])
        assert caught.value.hop == "tcp"


@pytest.mark.parametrize(
    ("changes", "hop", "said"),
    [
        ({"url": f"http://{CLOSED}/"}, "tcp", "refused"),
        ({"url": "http://no-such-host.invalid/x"}, "name", "not known"),
        ({"url": "/status/401"}, "login", "refuses access"),
        ({"url": "/status/502"}, "database", "nothing now"),
        ({"ssl": Ssl(enable=True)}, "tls", "without it"),
        ({"url": "ftp://127.0.0.1:1/x"}, "tcp", ""),
    ],
)
async def test_each_hop_is_named(hook: Hook, changes: dict[str, Any], hop: str, said: str) -> None:
    if str(changes.get("url")).startswith("/"):
        changes = {"url": hook.url + changes["url"]}
    failed = await failing(resource(hook, **changes))
    assert (failed.hop, said in failed.message) == (hop, True), (failed, failed.cause)


async def test_a_test_passes_and_sends_no_message(hook: Hook) -> None:
    await probe(resource(hook, url=f"{hook.url}/status/405"), [action(body="${a}")])
    assert [request.method for request in hook.requests] == ["head"]


async def test_tls_with_a_name_and_a_certificate(hook: Hook, tmp_path: Path) -> None:
    authority = Authority()
    pair, client = authority.sign(NAME), authority.sign("app")
    for name, text in {"ca": authority.cert, "cert": pair.cert, "key": pair.key}.items():
        (tmp_path / name).write_text(text)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    hook.socket = context.wrap_socket(hook.socket, server_side=True)
    there = {"url": hook.url.replace("http:", "https:")}
    whole = Ssl(cacert=authority.cert, cert=client.cert, key=client.key, server_name=NAME)
    await write(resource(hook, ssl=whole, **there), action(), [{"a": 1}])
    assert len(hook.requests) == 1
    for wrong in (Ssl(cacert=authority.cert, server_name="other.example"), Ssl(server_name=NAME)):
        assert (await failing(resource(hook, ssl=wrong, **there))).hop == "tls"
