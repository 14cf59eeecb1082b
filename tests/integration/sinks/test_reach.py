"""Where sinks may connect to: every spelling, every client, after resolution, and nowhere that a server sends them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

import pytest

from brokers import Kafka
from databases import Redis, Sentinel
from integration.sinks import test_kafka, test_redis
from integration.sinks.trying import failing
from tieline.integration.config.shapes import Reach, Resource
from tieline.integration.sinks import BY_TYPE, open_sink
from tieline.integration.sinks.base import reach
from tieline.integration.sinks.base.failures import Rejected, Unavailable
from tieline.integration.sinks.base.reach import number, refusal
from tieline.integration.sinks.nats.sink import Nats
from tieline.integration.worker.probe import probe

MORE: dict[str, dict[str, Any]] = {
    "postgresql": {"database": "d", "username": "u"},
    "mysql": {"database": "d"},
    "influxdb": {"database": "d"},
    "clickhouse": {"database": "d"},
    "rabbitmq": {"username": "u"},
    "timestream": {"database": "d"},
}
AWS = {"aws_access_key_id": "A", "aws_secret_access_key": "S"}


@pytest.fixture
def outside() -> Iterator[None]:
    """This process may not connect to loopback, as an agent in a network of the platform's."""
    reach.use(Reach(loopback=False))
    yield
    reach.use(Reach())


class Ear:
    """A port that counts who connects, and says `greeting` to them."""

    def __init__(self, greeting: bytes = b"") -> None:
        self.heard: list[bytes] = []
        self.connections = 0
        self._greeting = greeting
        self._writers: list[asyncio.StreamWriter] = []
        self._serving: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for writer in self._writers:
                writer.transport.abort()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        if (task := asyncio.current_task()) is not None:
            self._serving.append(task)
        writer.write(self._greeting)
        self.heard.append(await reader.read(1000))
        writer.close()


def resource(type: str, host: str, port: int, **more: Any) -> Resource:
    kind = BY_TYPE[type]
    url = kind.resource.FORM == "url"
    place = f"http://{host}:{port}" if url else f"{host}:{port}"
    known = {kind.resource.ADDRESS: place, "connect_timeout": 2.0, "write_timeout": 2.0, **MORE.get(type, {}), **more}
    known |= AWS if hasattr(kind.resource, "SERVICE") else {}
    return kind.resource(id="r", **known)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("0x7F.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("１２７.0.0.1", "127.0.0.1"),
        ("127。0。0。1", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("0xa9fe0101", "169.254.1.1"),
        ("[::1]", "::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::ffff:7f00:1", "127.0.0.1"),
        ("::127.0.0.1", "127.0.0.1"),
        ("64:ff9b::7f00:1", "127.0.0.1"),
        ("2002:7f00:1::", "127.0.0.1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_every_spelling_of_an_address_is_that_address(text: str, meant: str) -> None:
    assert number(text) == ip_address(meant)
    assert refusal(ip_address(meant), Reach(loopback=False))


@pytest.mark.parametrize("text", ["db.example.com", "localhost", "1.example.com", "", "x", "1.2.3.4.5", "0x", "1..2"])
def test_names_are_no_addresses(text: str) -> None:
    assert number(text) is None or text == "0x"


def test_what_the_operator_allows_goes_before() -> None:
    assert refusal(ip_address("::ffff:127.0.0.1"), Reach(loopback=False, allowed=("127.0.0.0/8",))) == ""
    assert refusal(ip_address("169.254.0.7"), Reach(allowed=("169.254.0.7",))) == ""
    for given in ("10.0.0.1", "192.168.1.1", "100.64.0.1", "fd00::1", "8.8.8.8"):
        assert refusal(ip_address(given), Reach(loopback=False)) == ""


@pytest.mark.usefixtures("outside")
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0x7f000001", "127.1"])
@pytest.mark.parametrize("type", BY_TYPE)
async def test_no_client_connects_to_what_is_forbidden(type: str, host: str) -> None:
    ear = Ear()
    async with ear.listening() as port:
        wanted = resource(type, host, port)
        assert (await failing(wanted, timeout=5.0)).hop == "address"
        sink = open_sink(wanted)  # past what Test tries first
        with pytest.raises(Unavailable) as caught:
            await sink.check(())
        await sink.close()
    assert (caught.value.hop, ear.connections) == ("address", 0), caught.value.cause
    assert "platform" in f"{caught.value.message}{caught.value.cause}"


@pytest.mark.parametrize("type", BY_TYPE)
async def test_a_host_of_several_addresses_is_reached_by_any_of_them(
    type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first address of a name refuses connections, the second takes one."""
    ear, loop = Ear(), asyncio.get_running_loop()
    async with ear.listening() as port:
        found = [(2, 1, 6, "", ("127.0.0.9", port)), (2, 1, 6, "", ("127.0.0.1", port))]
        real = loop.getaddrinfo

        async def answer(host: str, *rest: Any, **more: Any) -> Any:
            return found if host == "two.example" else await real(host, *rest, **more)

        monkeypatch.setattr(loop, "getaddrinfo", answer)
        monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: found)
        sink = open_sink(resource(type, "two.example", port))
        with pytest.raises((Unavailable, TimeoutError)):  # what speaks nothing is no server of any kind
            async with asyncio.timeout(4):
                await sink.check(())
        await sink.close()
    assert ear.connections > 0


@pytest.mark.world
async def test_a_sentinel_cannot_send_us_anywhere() -> None:
    with Redis() as master, Sentinel(master) as sentinel:
        known: dict[str, Any] = {"redis_type": "sentinel", "sentinel": "orders", "sentinel_password": sentinel.password}
        wanted = test_redis.resource(master, servers=sentinel.server, **known)
        failed = await failing(wanted)
        assert (failed.hop, f"127.0.0.1:{master.port}" in failed.message) == ("address", True)
        assert "address_map" in failed.hint
        await probe(
            test_redis.resource(master, servers=sentinel.server, **known, address_map={master.server: master.server})
        )


async def test_a_member_of_a_cluster_of_nats_gets_no_password() -> None:
    ear = Ear()
    async with ear.listening() as elsewhere:
        info = {"server_id": "x", "version": "2.9.0", "max_payload": 1, "connect_urls": [f"127.0.0.1:{elsewhere}"]}
        liar = Ear(b"INFO " + json.dumps(info).encode() + b"\r\n-ERR 'Authorization Violation'\r\n")
        async with liar.listening() as port:
            wanted = Nats(id="n", servers=f"127.0.0.1:{port}", username="u", password="s3cret", connect_timeout=2.0)
            assert (await failing(wanted)).hop in ("login", "tcp")
    assert ear.connections == 0
    assert liar.connections > 0


@pytest.mark.world
async def test_a_broker_of_kafka_cannot_send_us_anywhere() -> None:
    ear = Ear()
    async with ear.listening() as elsewhere:
        with Kafka(front=elsewhere) as server:
            wanted = test_kafka.resource(server)
            failed = await failing(wanted, test_kafka.action("t"))
            assert (failed.hop, f"127.0.0.1:{elsewhere}" in failed.message) == ("address", True)
            assert "address_map" in failed.hint
            sink = open_sink(wanted)
            writer = sink.writer(test_kafka.action("t"))
            with pytest.raises(Unavailable) as caught:
                await writer.write([{"n": 1}])
            await sink.close()
            assert caught.value.hop == "address"
    assert ear.connections == 0


@pytest.mark.parametrize("type", BY_TYPE)
async def test_a_name_that_answers_otherwise_the_second_time_leads_nowhere(
    type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer is allowed, and refuses connections; every later one is loopback, where somebody listens."""
    reach.use(Reach(loopback=False, allowed=("127.0.0.9",)))
    ear, loop, asked = Ear(), asyncio.get_running_loop(), 0

    def answer(host: str, port: int, *_: Any, **__: Any) -> Any:
        nonlocal asked
        asked += 1
        return [(2, 1, 6, "", (host if host != "two.example" else "127.0.0.9" if asked == 1 else "127.0.0.1", port))]

    async def answered(*given: Any, **more: Any) -> Any:
        return answer(*given, **more)

    try:
        async with ear.listening() as port:
            monkeypatch.setattr(loop, "getaddrinfo", answered)
            monkeypatch.setattr("socket.getaddrinfo", answer)
            sink = open_sink(resource(type, "two.example", port))
            with pytest.raises(Unavailable):
                await sink.check(())
            await sink.close()
    finally:
        reach.use(Reach())
    assert (asked > 0, ear.connections) == (True, 0)


class Elsewhere(BaseHTTPRequestHandler):
    """Sends everybody to another server, as S3 does to another region."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("location", self.server.there)  # type: ignore[attr-defined]
        self.send_header("x-amz-bucket-region", "eu-west-1")
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST = do_PUT = do_HEAD = answer

    def log_message(self, *_: object) -> None:
        return


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("type", ["http", "influxdb", "clickhouse", "s3", "sqs", "kinesis", "dynamodb", "timestream"])
async def test_redirects_are_not_followed(type: str, status: int) -> None:
    ear = Ear()
    async with ear.listening() as port:
        with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
            server.status, server.there = status, f"http://127.0.0.1:{port}/"  # type: ignore[attr-defined]
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            sink = open_sink(resource(type, "127.0.0.1", server.server_port))
            with contextlib.suppress(Unavailable, Rejected):
                await sink.check(())
            await sink.close()
            server.shutdown()
            thread.join()
    assert ear.connections == 0
