"""A line whose token was replaced counts for nothing at once, though its agent hears nothing and goes on talking."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

from platforms import PlatformProcess
from servers import wait_until
from tieline.agent.protocol import AGENT_PATH, Report, encode
from tieline.client.rest import Client
from tieline.cloud.schemas.answers import CreatedDeployment


def upgraded(url: str, token: str) -> socket.socket:
    """A WebSocket of somebody who never answers a close."""
    place = urlsplit(url)
    line = socket.create_connection((place.hostname, place.port), timeout=30)
    lines = [
        f"GET {AGENT_PATH} HTTP/1.1",
        f"Host: {place.netloc}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        f"Authorization: Bearer {token}",
    ]
    line.sendall("\r\n".join([*lines, "", ""]).encode())
    assert line.recv(12) == b"HTTP/1.1 101"
    return line


def say(line: socket.socket, text: bytes) -> None:
    """One masked frame of text (RFC 6455, 5.2)."""
    assert 126 <= len(text) < 65536
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[place % 4] for place, byte in enumerate(text))
    line.sendall(bytes([0x81, 0x80 | 126]) + len(text).to_bytes(2, "big") + mask + masked)


def test_an_agent_with_the_old_token_is_not_believed(
    platform: PlatformProcess, client: Client, deployment: CreatedDeployment
) -> None:
    with upgraded(platform.url, deployment.join_token) as line:
        say(line, encode(Report(applied=1, broker=True)))
        wait_until(lambda: client.deployment(deployment.id).agent.broker, "its report")
        client.renew_join_token(deployment.id)
        assert not client.deployment(deployment.id).agent.connected
        say(line, encode(Report(applied=2, broker=True)))
        with upgraded(platform.url, client.renew_join_token(deployment.id)) as good:
            say(good, encode(Report(applied=3, broker=False)))
            wait_until(lambda: client.deployment(deployment.id).agent.applied == 3, "the other's report")
            found = client.deployment(deployment.id).agent
            assert (found.agents, found.broker) == (1, False)
