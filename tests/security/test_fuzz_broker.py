"""Hostile bytes for the agent's protocol, the broker with its plugin and its WebSocket, from a corpus that stays.

Bounded to seconds, from a fixed seed; `./dev bench fuzz` goes on for as long as it is told, from others. What fails is
to be added to the corpus.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from security.test_fuzz import CORPUS, changed
from servers import free_port
from tieline.agent import compat
from tieline.agent.brokers import websocket
from tieline.agent.brokers.mosquitto import Mosquitto
from tieline.agent.brokers.settings import CLIENT_ID, Listener, Settings, User
from tieline.agent.protocol import decode_for_agent, decode_for_platform

FRAMES, HEADS, PACKETS = 3000, 3000, 150  # inputs made of the corpus, each time
ACCEPTED = b"\x20\x00"  # a CONNACK's type, and the reason code of success (MQTT 5, 3.2)
ALLOWED = "http://127.0.0.1:8083"
Surface = Callable[[bytes], None]


def corpus(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def platform_hears(frame: bytes) -> None:
    """What the platform makes of an agent's frame: a message, or a refusal that ends the line."""
    with contextlib.suppress(msgspec.DecodeError):
        decode_for_platform(frame)


def agent_hears(frame: bytes) -> None:
    """What an agent makes of its platform's frame, also where it is newer."""
    try:
        decode_for_agent(frame)
    except msgspec.ValidationError:
        with contextlib.suppress(msgspec.DecodeError):
            compat.heard(frame, None)
    except msgspec.DecodeError:
        pass


def head_is_read(head: bytes) -> None:
    """What is let through has one origin at most, in every reading, and that is allowed."""
    head = head.partition(b"\r\n\r\n")[0]
    try:
        websocket.check(head, (ALLOWED,))
    except websocket.Refused as refused:
        assert refused.answer.startswith(b"HTTP/1.1 4")
        return
    lines = [line.strip().lower() for line in head.replace(b"\r", b"\n").split(b"\n")]
    origins = [line.partition(b":")[2].strip() for line in lines if re.match(rb"origin\s*:", line)]
    hosts = [line.partition(b":")[2].strip() for line in lines if line.startswith(b"host:")]
    assert len(hosts) == 1 and len(origins) <= 1
    assert all(origin == ALLOWED.encode() or origin.endswith(b"//" + hosts[0]) for origin in origins), head


SURFACES: dict[str, tuple[str, Surface]] = {
    "platform": ("agent", platform_hears),
    "agent": ("agent", agent_hears),
    "head": ("websocket", head_is_read),
}


@pytest.mark.parametrize("surface", SURFACES)
def test_hostile_frames_are_refused_or_understood(surface: str) -> None:
    name, take = SURFACES[surface]
    known = corpus(name)
    for data in [*known, *changed(known, FRAMES)]:
        take(data)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    made = Mosquitto(tmp_path, "a-secret", lambda: None)
    place, web = (Listener(host="127.0.0.1", port=free_port()) for _ in range(2))
    user = User(name="u", password="p")
    await made.apply(
        Settings(mqtt=place, websocket=web, users=(user,), anonymous=False, anonymous_on=("mqtt",), origins=())
    )
    async with asyncio.timeout(60):
        while not made.running:
            await asyncio.sleep(0.05)
    yield made
    await made.close()


def said(port: int, data: bytes) -> bytes:
    """What a listener answers to these bytes until it ends the connection, or a moment long."""
    answer = b""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(data)
        line.shutdown(socket.SHUT_WR)
        while part := line.recv(4096):
            answer += part
    return answer


def client_id(data: bytes) -> bytes:
    """The client id of a CONNECT that begins with these bytes, where it is short and well formed; else nothing."""
    if data[:1] != b"\x10" or data[2:9] != b"\x00\x04MQTT\x05":
        return b""
    at = 13 + data[12] if len(data) > 13 else len(data)
    return data[at + 2 : at + 2 + int.from_bytes(data[at : at + 2])]


async def test_hostile_packets_leave_the_broker_running_and_let_nobody_be_the_agent(broker: Mosquitto) -> None:
    settings, process = broker._settings, broker._process
    assert settings is not None and settings.websocket is not None and process is not None
    for name, port in (("broker", settings.mqtt.port), ("websocket", settings.websocket.port)):
        known = corpus(name)
        for data in [*known, *changed(known, PACKETS)]:
            answer = await asyncio.to_thread(said, port, data)
            assert not (client_id(data).startswith(CLIENT_ID.encode()) and answer[:1] + answer[3:4] == ACCEPTED), data
    assert broker._process is process and process.returncode is None and broker.running
