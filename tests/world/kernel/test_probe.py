"""A probe comes from its node's address and says what it found, down to the last cause."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from tieline.fabric.core.topology import Check, Outcome
from tieline.fabric.kernel.net.probes import FAILED, MISMATCH, TIMEOUT
from world.kernel.conftest import FIRST, NODE, PORT, World, provider

pytestmark = pytest.mark.world
TCP = Check(vpc="vpc-b", source=NODE, address="10.0.0.10", port=PORT, protocol="TCP", timeout=30.0)
HTTP = replace(TCP, port=80, protocol="HTTP", path="/healthz", host="database.example.com")
PASSED = Outcome(passed=True)


async def test_tcp(world: World) -> None:
    await world.kernel.converge_vpc(provider())
    assert await world.kernel.probe(TCP) == Outcome(passed=False, reason=FAILED, cause="connection refused")
    server = await world.serve(FIRST)
    assert await world.kernel.probe(TCP) == PASSED
    async with asyncio.timeout(30):
        while not server.peers:  # the kernel accepts before the server does
            await asyncio.sleep(0.01)
    assert server.peers == [NODE]


async def test_a_silent_target_times_out(world: World) -> None:
    await world.kernel.converge_vpc(provider())
    await world.run(
        FIRST, "nft", "add table ip t; add chain ip t i { type filter hook input priority 0; policy drop; }"
    )
    outcome = await world.kernel.probe(replace(TCP, timeout=0.2))
    assert outcome == Outcome(passed=False, reason=TIMEOUT, cause="no answer within 0.2 s")


async def test_an_address_that_nobody_has(world: World) -> None:
    await world.kernel.converge_vpc(provider())
    outcome = await world.kernel.probe(replace(TCP, address="10.0.0.99"))
    assert (outcome.reason, outcome.cause) == (FAILED, "network is unreachable")


@pytest.mark.parametrize(
    ("matcher", "answer", "expected"),
    [
        ("200-399", b"HTTP/1.1 200 OK\r\n\r\n", PASSED),
        ("200,204", b"HTTP/1.1 204 No Content\r\n\r\n", PASSED),
        (
            "200",
            b"HTTP/1.1 503 Busy\r\n\r\n",
            Outcome(passed=False, reason=MISMATCH, cause="HTTP status 503, not in 200"),
        ),
        ("200", b"SSH-2.0\r\n", Outcome(passed=False, reason=FAILED, cause="not an HTTP answer: b'SSH-2.0\\r\\n'")),
        ("200", b"", Outcome(passed=False, reason=FAILED, cause="the target closed the connection without an answer")),
    ],
)
async def test_http(world: World, matcher: str, answer: bytes, expected: Outcome) -> None:
    await world.kernel.converge_vpc(provider())
    asked: list[bytes] = []
    server = await speaking(world, answer, asked)
    async with server:
        assert await world.kernel.probe(replace(HTTP, matcher=matcher)) == expected
    assert asked[0].startswith(b"GET /healthz HTTP/1.1\r\nHost: database.example.com\r\n")


async def test_a_target_that_accepts_and_says_nothing(world: World) -> None:
    await world.kernel.converge_vpc(provider())
    listening = await world.inside(FIRST, partial(socket.create_server, ("0.0.0.0", 80)))
    with listening:
        outcome = await world.kernel.probe(replace(HTTP, timeout=0.2))
    assert outcome.reason == TIMEOUT


async def test_https_does_not_mind_the_certificate(world: World, tmp_path: Path) -> None:
    await world.kernel.converge_vpc(provider())
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = (
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=self",
    )
    subprocess.run([*request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await speaking(world, b"HTTP/1.1 200 OK\r\n\r\n", [], context)
    async with server:
        assert await world.kernel.probe(replace(HTTP, protocol="HTTPS")) == PASSED


async def speaking(
    world: World, answer: bytes, asked: list[bytes], context: ssl.SSLContext | None = None
) -> asyncio.Server:
    """A server in the target's host that gives one answer to everything."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    listening = await world.inside(FIRST, partial(socket.create_server, ("0.0.0.0", 80)))
    return await asyncio.start_server(serve, sock=listening, ssl=context)
