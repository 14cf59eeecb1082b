"""Which hosts are served, and what is said twice: a request that could mean two things is not heard."""

from __future__ import annotations

import pytest

from http_server.conftest import Running, serving, status
from tieline.base.http.hosts import Hosts, check_name
from tieline.base.http.sources import source

SERVED = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost:8080",
    "anything.localhost",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.9.9.9",
    "[::1]",
    "[::1]:80",
    "192.0.2.7",
    "192.0.2.7:443",
    "[::ffff:192.0.2.7]",
    "tieline.example.com",
    "TIELINE.example.com.:443",
    "a.wild.example.com",
    "[2001:db8::1]",
    "[2001:DB8:0::1]:8443",
]
FOREIGN = [
    "evil.example",
    "localhost.evil.example",
    "192.0.2.8",
    "169.254.169.254",
    "0.0.0.0",
    "[::]",
    "[2001:db8::2]",
    "example.com",
    "wild.example.com",
    "a.b.wild.example.com",
    "x:y:z",
    "localhost:port",
    "localhost:123456",
    "127.0.0.1.evil.example",
    "0x7f000001",
    "127.1",
    "2130706433",
    "localhost@evil.example",
    "evil.example#localhost",
    "localhost/evil",
    "127.0.0.1,evil.example",
    "*",
    ".localhost.x",
]


@pytest.mark.parametrize("host", SERVED)
def test_own_names_are_served(host: str) -> None:
    hosts = Hosts(["tieline.example.com", "*.wild.example.com", "2001:db8::1"])
    assert hosts.serves(host.encode(), "192.0.2.7")


@pytest.mark.parametrize("host", [*FOREIGN, "", " ", "localhost ", "a" * 300, "löcalhost", "localhost\u0660"])
def test_other_names_are_not(host: str) -> None:
    hosts = Hosts(["tieline.example.com", "*.wild.example.com", "2001:db8::1"])
    assert not hosts.serves(host.encode(), "192.0.2.7")


@pytest.mark.parametrize("name", ["a.example", "*.a.example", "192.0.2.1", "2001:db8::1", "A.example."])
def test_what_may_be_allowed(name: str) -> None:
    assert check_name(name)


@pytest.mark.parametrize("name", ["", "a.example:80", "http://a.example", "a/b", "*", "a.*.b", "1::2::3", "a b"])
def test_what_may_not_be_allowed(name: str) -> None:
    with pytest.raises(ValueError, match="no host name"):
        check_name(name)


def test_a_name_that_is_added_is_served_from_then_on() -> None:
    hosts = Hosts()
    assert not hosts.serves(b"new.example", "")
    hosts.add(["New.example"])
    assert hosts.serves(b"new.example", "")


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\nHost: evil.example\r\n",
        "GET / HTTP/1.0\r\nHost: evil.example\r\n",
        "GET /ws HTTP/1.1\r\nHost: evil.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    ],
)
def test_a_foreign_host_is_told_so(running: Running, head: str) -> None:
    told = running.ask(head.encode() + b"\r\n")
    assert status(told) == 421
    assert b"--allow-host" in told
    assert running.app.seen == []


def test_an_allowed_host_is_served() -> None:
    with serving(names=("tieline.example",)) as running:
        assert status(running.ask(b"GET / HTTP/1.1\r\nHost: tieline.example\r\n\r\n")) == 200


ONCE = "Host: localhost\r\n"
TWICE = [
    "Authorization",
    "Cookie",
    "Content-Type",
    "Host",
    "Origin",
    "X-Amz-Target",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "If-Match",
    "Idempotency-Key",
    "Sec-Fetch-Site",
    "Range",
    "Expect",
    "X-Anything",
]


@pytest.mark.parametrize("name", TWICE)
@pytest.mark.parametrize("between", ["", "Accept: */*\r\n"])
def test_a_header_is_given_once(running: Running, name: str, between: str) -> None:
    value = "localhost" if name == "Host" else "1"
    first = "" if name == "Host" else ONCE
    lines = f"{first}{name}: {value}\r\n{between}{name.lower()}: {value}\r\n"
    assert status(running.ask(f"GET / HTTP/1.1\r\n{lines}\r\n".encode())) == 400
    assert running.app.seen == []


@pytest.mark.parametrize(
    "request_",
    [
        "GET / HTTP/1.1\r\n\r\n",
        "GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n X: folded\r\n\r\n",
        "GET / HTTP/1.1\nHost : localhost\n\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: \0\r\n\r\n",
    ],
)
def test_what_is_ambiguous_is_refused(running: Running, request_: str) -> None:
    assert status(running.ask(request_.encode())) == 400
    assert running.app.seen == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "GZIP"])
def test_compressed_bodies_are_not_taken(running: Running, encoding: str) -> None:
    head = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: {encoding}\r\nContent-Length: 1\r\n\r\na"
    assert status(running.ask(head.encode())) == 415


def test_lists_may_go_over_lines(running: Running) -> None:
    lines = b"Accept: a/b\r\nAccept: c/d\r\nVia: 1.1 a\r\nVia: 1.1 b\r\n"
    assert status(running.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n")) == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Proto"])
def test_where_a_request_came_from_is_not_for_it_to_say(running: Running, header: str) -> None:
    assert status(running.ask(f"GET / HTTP/1.1\r\nHost: localhost\r\n{header}: 203.0.113.9\r\n\r\n".encode())) == 200
    scope = running.app.seen[0]
    assert scope["client"][0] == "127.0.0.1"
    assert scope["scheme"] == "http"


@pytest.mark.parametrize(
    ("addresses", "same"),
    [
        (("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"), True),
        (("2001:db8:0:1::1", "2001:db8:0:1:ffff::2"), True),
        (("2001:db8:0:1::1", "2001:db8:0:2::1"), False),
        (("192.0.2.1", "::ffff:192.0.2.1"), True),
        (("192.0.2.1", "192.0.2.2"), False),
        (("fe80::1%eth0", "fe80::1"), True),
    ],
)
def test_one_sender_is_one_source(addresses: tuple[str, ...], same: bool) -> None:
    assert (len({source(address) for address in addresses}) == 1) is same
