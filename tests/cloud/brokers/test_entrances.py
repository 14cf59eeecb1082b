"""Devices without a user get in only where that was asked for, and pages of other sites not by WebSocket."""

from __future__ import annotations

import re
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from cloud.brokers.test_broker import PASSWORD, Device, change, settled
from platforms import AgentProcess, PlatformProcess
from servers import free_port, wait_until
from tieline.agent.brokers import websocket
from tieline.client.rest import Client, ClientError
from tieline.cloud.agents import opened
from tieline.cloud.model.records import Address, Deployment, DeploymentStatus
from tieline.cloud.store.repository import Repository
from tieline.store import SQLiteStore

HOST = "127.0.0.1"


class Plant:
    """A deployment with all three listeners."""

    def __init__(self, client: Client, agent: Path) -> None:
        self.client, self.agent = client, agent
        self.process = 0
        self.mqtt, self.tls, self.websocket = (free_port() for _ in range(3))

    def change(self, **changes: Any) -> None:
        change(self.client, **changes)
        settled(self.client)

    def reached(self, name: str = "", password: str = "") -> set[str]:
        """The listeners that let somebody in."""
        authority = self.client.certificate("plant")
        ways: dict[str, tuple[int, dict[str, Any]]] = {
            "mqtt": (self.mqtt, {}),
            "mqtts": (self.tls, {"authority": authority}),
            "websocket": (self.websocket, {"transport": "websockets"}),
        }
        found = set()
        for way, (port, how) in ways.items():
            with Device(port, name, password, **how) as device:
                assert device.result in ("Success", "Not authorized")
                found |= {way} if device.result == "Success" else set()
        return found

    def upgrade(self, *headers: tuple[str, str]) -> int:
        """The status of a request for a WebSocket."""
        url = f"ws://{HOST}:{self.websocket}/mqtt"
        try:
            with connect(url, additional_headers=headers, subprotocols=["mqtt"], proxy=None):  # type: ignore[list-item]
                return 101
        except InvalidStatus as refused:
            return refused.response.status_code


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    directory = tmp_path_factory.mktemp("plant")
    with PlatformProcess(directory / "cloud") as platform:
        there = Plant(platform.client, directory / "agent")
        places = {"mqtt": there.mqtt, "mqtts": there.tls, "websocket": there.websocket}
        addresses = {name: {"host": HOST, "port": port} for name, port in places.items()}
        made = platform.client.create_deployment(name="plant", provider="external", **addresses)
        with AgentProcess(platform.url, made.join_token, directory / "agent") as running:
            assert running.process is not None
            there.process = running.process.pid
            wait_until(lambda: platform.client.deployment("plant").status == "running", "the agent")
            platform.client.create_mqtt_user("plant", name="ada", password=PASSWORD)
            settled(platform.client)
            yield there


def test_a_new_deployment_lets_nobody_in_without_a_user(plant: Plant) -> None:
    assert plant.client.deployment("plant").without_user == ()
    assert plant.reached() == set()
    assert plant.reached("ada", PASSWORD) == {"mqtt", "mqtts", "websocket"}
    plant.client.delete_mqtt_user("plant", "ada")
    settled(plant.client)
    assert plant.reached() == set()  # nor where there is no user at all
    plant.client.create_mqtt_user("plant", name="ada", password=PASSWORD)
    settled(plant.client)


@pytest.mark.parametrize(
    "listeners", [["mqtts"], ["mqtt"], ["websocket"], ["websocket", "mqtts"], ["mqtt", "mqtts", "websocket"]]
)
def test_each_listener_is_opened_by_itself(plant: Plant, listeners: list[str]) -> None:
    plant.change(anonymous=listeners)
    assert set(plant.client.deployment("plant").without_user) == set(listeners)
    assert plant.reached() == set(listeners)
    assert plant.reached("ada", PASSWORD) == {"mqtt", "mqtts", "websocket"}
    assert plant.reached("ada", "guess") == set()
    plant.change(anonymous=False)
    assert plant.reached() == set()


def test_who_is_connected_without_a_user_goes_when_that_ends(plant: Plant) -> None:
    plant.change(anonymous=["mqtt", "mqtts"])
    with Device(plant.mqtt) as device:
        assert device.result == "Success"
        plant.change(anonymous=["mqtts"])
        wait_until(lambda: device.ended, "the end of the connection")
    plant.change(anonymous=False)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "http://{host}.evil.example",
        "http://{host}@evil.example",
        "http://evil.example/{host}",
    ],
)
def test_pages_of_other_sites_are_refused(plant: Plant, origin: str) -> None:
    assert plant.upgrade(("Origin", origin.format(host=f"{HOST}:{plant.websocket}"))) == 403


def test_pages_of_the_own_host_devices_and_what_is_listed_are_let_in(plant: Plant) -> None:
    own, app = ("Origin", f"http://{HOST}:{plant.websocket}"), ("Origin", "https://app.example.com")
    assert plant.upgrade() == plant.upgrade(own) == 101
    assert plant.upgrade(app) == 403
    with Device(plant.mqtt, "ada", PASSWORD) as device:
        plant.change(websocket_origins=["https://app.example.com"])
        assert plant.upgrade(app) == plant.upgrade(("Origin", "HTTPS://APP.example.com")) == 101
        assert plant.upgrade(("Origin", "https://app.example.com.evil.example")) == 403
        assert plant.upgrade(app, app) == 400  # which of the two counts?
        assert plant.upgrade(app, ("Origin", "https://evil.example")) == 400
        plant.change(websocket_origins=["*"])
        assert plant.upgrade(("Origin", "https://evil.example")) == 101
        plant.change(websocket_origins=[])
        assert plant.upgrade(("Origin", "https://evil.example")) == 403
        assert not device.ended  # nobody was disturbed
    for wrong in ("app.example.com", "https://app.example.com/", "https://a b", "https://a,https://b"):
        with pytest.raises(ClientError) as refused:
            change(plant.client, websocket_origins=[wrong])
        assert refused.value.status == 422


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n Origin: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nOrigin : http://evil\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\nOrigin: http://evil\r\n\r\n",
        b"\x10\x0c\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x00\x00\r\n\r\n",
    ],
)
def test_what_is_no_websocket_reaches_no_broker(plant: Plant, head: bytes) -> None:
    with socket.create_connection((HOST, plant.websocket), timeout=30) as line:
        line.sendall(head)
        assert re.match(rb"HTTP/1\.1 4\d\d ", line.recv(100))


def test_silent_connections_take_no_files_from_the_agent(plant: Plant) -> None:
    """Without a login: what it has left is for databases and the platform, and for devices that do speak."""
    allowed = websocket.KEPT + 100
    before = resource.prlimit(plant.process, resource.RLIMIT_NOFILE)
    resource.prlimit(plant.process, resource.RLIMIT_NOFILE, (allowed, before[1]))
    lines = []
    try:
        for _ in range(allowed + 100):
            lines.append(socket.create_connection((HOST, plant.websocket), timeout=30))
        for _ in range(3):
            with Device(plant.websocket, "ada", PASSWORD, transport="websockets") as device:
                assert device.result == "Success"
        files = Path(f"/proc/{plant.process}/fd")
        wait_until(lambda: len(list(files.iterdir())) < allowed - websocket.KEPT // 2, "room in the agent's files")
    finally:
        for line in lines:
            line.close()
        resource.prlimit(plant.process, resource.RLIMIT_NOFILE, before)


def test_a_rule_sees_where_a_client_by_websocket_is(plant: Plant) -> None:
    """As its own connection has it, and not as it says."""
    with Device(plant.mqtt, "ada", PASSWORD) as hearer:
        seen: list[dict[str, str]] = []
        hearer.client.on_message = lambda *given: seen.append(dict(given[2].properties.UserProperty))
        assert hearer.subscribe("t") == 1
        with Device(plant.websocket, "ada", PASSWORD, transport="websockets", client_id="page") as page:
            page.publish("t", b"x")
        wait_until(lambda: bool(seen), "the message")
    assert (seen[0]["peerhost"], seen[0]["clientid"]) == (HOST, "page")


def test_the_broker_itself_is_not_reached_by_web_pages(plant: Plant) -> None:
    text = (plant.agent / "broker" / "mosquitto.conf").read_text()
    (port,) = re.findall(r"listener (\d+) lo\nprotocol websockets", text)
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", int(port)), timeout=30)
    with Device(int(port), "ada", PASSWORD, transport="websockets") as past:
        assert past.result == "Not authorized"


def test_what_older_deployments_left_open_is_kept_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records, place = Repository(SQLiteStore(tmp_path / "store")), Address(host=HOST, port=1)
    old = Deployment(
        id="dep-1", name="old", provider="external", status=DeploymentStatus.RUNNING, mqtt=place, broker=place,
        websocket=Address(host=HOST, port=2), created="", token_hash="",
    )  # fmt: skip
    records.commit(write=[old])
    for _ in range(2):
        opened.tell(records)
    found = records.get(Deployment, "dep-1")
    assert found is not None and found.websocket_origins == ("*",) and found.anonymous is None
    assert [entry.event for entry in found.history] == [opened.ORIGINS_KEPT]
    assert "without a user by mqtt, websocket, until it has an MQTT user" in caplog.text
    records.close()


def test_the_head_of_a_request_is_bounded() -> None:
    with pytest.raises(websocket.Refused):
        websocket.check(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nUpgrade: websocket\r\n\r\n", ())
    assert websocket.HEAD_BYTES < 1 << 17
