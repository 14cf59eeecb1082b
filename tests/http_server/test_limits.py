"""What a client may take of a server before it has logged in: connections, seconds and bytes, over real sockets."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from http_server.conftest import ENOUGH, GET, SMALL, Running, answer, rest, serving, status
from tieline.base.http.limits import MIB, Limits

POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ENOUGH
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("said", [b"", b"GET / HT", POST + b"half", GET])
def test_silent_and_slow_connections_keep_nobody_out(running: Running, said: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(5 * SMALL.connections):
            one = stack.enter_context(running.connect())
            one.sendall(said)
            if said == GET:
                assert status(answer(one)) == 200
        with running.connect() as honest:
            honest.sendall(GET)
            assert status(answer(honest)) == 200
        assert len(running.server.guard.connections) <= SMALL.connections


def test_the_source_with_the_most_connections_makes_room() -> None:
    with serving(Limits(body_bytes=2000, connections=8)) as running, ExitStack() as stack:
        # loopback counts as one source, so that the second one is told apart by hand
        kept = stack.enter_context(running.connect())
        kept.sendall(GET)
        assert status(answer(kept)) == 200
        (member,) = running.server.guard.connections._members
        member.address = "192.0.2.7"
        for _ in range(40):
            stack.enter_context(running.connect())
        with running.connect() as honest:
            honest.sendall(GET)
            assert status(answer(honest)) == 200
        kept.sendall(GET)
        assert status(answer(kept)) == 200


def test_where_all_are_being_served_one_more_is_told_to_wait(running: Running) -> None:
    with ExitStack() as stack:
        for _ in range(SMALL.connections):
            stack.enter_context(running.connect()).sendall(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: len(running.app.seen) == SMALL.connections)
        with running.connect() as late:
            late.sendall(GET)
            told = rest(late)
        assert status(told) == 503
        assert b"try again in a moment" in told
        running.app.hold.set()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", 0),
        (b"\r\n\r\n", 408),
        (b"GET / HTTP/1.1\r\nHost: loc", 408),
        (POST + b"half of it", 408),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", 408),
    ],
)
def test_what_does_not_arrive_in_time_ends(running: Running, said: bytes, told: int) -> None:
    with running.connect() as slow:
        slow.sendall(said)
        assert status(rest(slow)) == told
    until(lambda: len(running.server.guard.connections) == 0)


def test_a_trickle_is_no_progress(running: Running) -> None:
    with running.connect() as slow:
        slow.settimeout(0.2)
        slow.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        deadline, told = time.monotonic() + ENOUGH, b""
        while not told and time.monotonic() < deadline:
            slow.sendall(b"X-A: b\r\n")
            try:
                told = slow.recv(1000)
            except TimeoutError:
                continue
        assert status(told) == 408


def test_an_idle_connection_ends_and_a_byte_does_not_keep_it() -> None:
    with serving(Limits(body_bytes=2000, idle_seconds=1.0, head_seconds=1.0)) as running:
        for more in (b"", b"\r\n"):
            with running.connect() as one:
                one.sendall(GET)
                assert status(answer(one)) == 200
                one.sendall(more)
                assert status(rest(one)) in (0, 408)


def test_who_takes_nothing_of_an_answer_is_let_go(running: Running) -> None:
    with running.connect() as one:
        one.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: len(running.app.seen) == 1)
        until(lambda: len(running.server.guard.connections) == 0)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /?" + b"a=1&" * 1500 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 5000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(30)) + b"\r\n",
    ],
    ids=["path", "query", "value", "number"],
)
def test_a_head_that_is_too_long_is_refused(running: Running, data: bytes) -> None:
    assert status(running.ask(data)) == 431
    assert running.app.seen == []


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ",
        b"GET /",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: ",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: a\r\n",
    ],
    ids=["value", "path", "chunk extension", "trailer", "trailers"],
)
def test_nothing_that_has_no_end_is_kept(running: Running, start: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    more = b"X: a\r\n" * 20_000 if start.endswith(b"\r\n") else b"a" * 100_000
    sent = 0
    with running.connect() as one:
        try:
            one.sendall(start)
            while sent < 200 * MIB:
                one.sendall(more)
                sent += len(more)
        except OSError:
            pass
    assert sent < 20 * MIB  # what was on the way when it was closed
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"3e8\r\n"
        + b"a" * 1000
        + b"\r\n3e8\r\n"
        + b"a" * 1000
        + b"\r\n1\r\na\r\n0\r\n\r\n",
    ],
    ids=["declared", "chunked"],
)
def test_a_body_that_is_too_large_is_refused(running: Running, data: bytes) -> None:
    assert status(running.ask(data)) == 413


def test_trailers_are_no_headers(running: Running) -> None:
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    told = running.ask(head + b"1\r\na\r\n0\r\nAuthorization: x\r\n\r\n")
    assert status(told) == 200
    assert b"authorization" not in dict(running.app.seen[0]["headers"])


def test_pipelined_requests_are_answered_up_to_a_number(running: Running) -> None:
    with running.connect() as one:
        one.sendall(GET * SMALL.pipelined)
        told = b""
        while told.count(b"HTTP/1.1 200 OK") < SMALL.pipelined:
            told += one.recv(65536)
    with running.connect() as one:
        one.sendall(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n" + GET * 50)
        assert rest(one) == b""


def test_a_silent_connection_to_the_tls_port_keeps_nobody_out(tmp_path: Path) -> None:
    with serving(state=tmp_path) as running, ExitStack() as stack:
        silent = [stack.enter_context(running.connect()) for _ in range(5 * SMALL.connections)]
        for _ in range(2):
            with running.secured() as honest:
                assert status(exchange_over_tls(honest)) == 200
        assert len(running.server.guard.connections) <= SMALL.connections
        assert rest(silent[-1]) == b""  # after the seconds for a handshake
        until(lambda: len(running.server.guard.connections) == 0)


def exchange_over_tls(one: socket.socket) -> bytes:
    one.sendall(GET)
    return answer(one)


def test_a_websocket_gives_its_place_back_and_is_counted(running: Running) -> None:
    head = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    head += b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(3 * SMALL.connections):
            one = stack.enter_context(running.connect())
            one.sendall(head)
            assert status(answer(one)) == 101
        until(lambda: len(running.server.guard.connections) == 0)
    with serving(Limits(body_bytes=1, websockets=2)) as few, ExitStack() as stack:
        told = []
        for _ in range(3):
            one = stack.enter_context(few.connect())
            one.sendall(head)
            told.append(status(answer(one)))
        assert told == [101, 101, 503]


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_a_websocket_message_has_an_end(compression: str | None) -> None:
    with serving(Limits(body_bytes=1, message_bytes=10_000)) as running:
        address = f"ws://localhost:{running.port}/ws"
        with connect(address, compression=compression, open_timeout=ENOUGH) as line, pytest.raises(ConnectionClosed):
            line.send("a" * 1_000_000)
            line.recv(timeout=ENOUGH)
        assert line.close_code == 1009  # message too big (RFC 6455, 7.4.1)


def test_http_as_it_should_be(running: Running) -> None:
    with running.connect() as one:
        one.sendall(POST + b"a" * 100)
        assert answer(one).endswith(b"\r\n\r\n100")
        one.sendall(GET)
        assert status(answer(one)) == 200
    assert status(running.ask(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")) == 200
