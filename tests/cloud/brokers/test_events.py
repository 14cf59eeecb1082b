"""What happens to clients of a deployment's real broker becomes rows, and nobody but the broker can say so."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud.brokers.test_broker import Device
from platforms import AgentProcess, PlatformProcess
from servers import PostgreSQL, free_port, wait_until
from tieline.agent.brokers.events import ERRORS, NOTICES, SUBSCRIBED, UNSUBSCRIBED, Clients
from tieline.client.rest import Client

CONNECTED = "1700000000: New client connected from {peer} as {id} (p5, c1, k60{user})."
COLUMNS = "event text, clientid text, username text, topic text, qos int, reason text, peerhost text"


def test_lines_of_the_log_are_events() -> None:
    clients = Clients("us")
    line = CONNECTED.format(peer="::1:4000", id="a b", user=", u'ada'")
    told = clients.read(NOTICES, line, 5)
    assert told is not None and told.topic == "$events/client/connected"
    assert told.fields["peerhost"] == "::1" and told.fields["username"] == "ada"
    assert (told.fields["proto_ver"], told.fields["keepalive"], told.fields["clean_start"]) == (5, 60, True)
    told = clients.read(SUBSCRIBED, "1: a b 1 x y", 6)
    assert told is not None and (told.fields["topic"], told.fields["qos"]) == ("x y", 1)
    told = clients.read(UNSUBSCRIBED, "1: a b x y", 6)
    assert told is not None and told.fields["topic"] == "x y"
    for topic, line, reason in (
        (ERRORS, "1: Client a b already connected, closing old connection.", "takenover"),
        (NOTICES, "1: Client a b closed its connection.", "tcp_closed"),
    ):
        clients.read(NOTICES, CONNECTED.format(peer="1.2.3.4:5", id="a b", user=""), 5)
        told = clients.read(topic, line, 7)
        assert told is not None and told.fields["reason"] == reason
    assert clients.read(NOTICES, "1: Client a b closed its connection.", 8) is None  # told once
    assert clients.read(NOTICES, CONNECTED.format(peer="1.2.3.4:5", id="own", user=", u'us'"), 5) is None
    assert clients.read(NOTICES, "1: Client own disconnected.", 5) is None
    assert clients.read(NOTICES, "1: Outgoing messages are being dropped for client a b.", 8) is None


def test_a_client_id_that_reads_like_a_line_deceives_nobody() -> None:
    clients = Clients("us")
    clients.read(NOTICES, CONNECTED.format(peer="1.2.3.4:5", id="New", user=""), 5)
    forged = CONNECTED.format(peer="6.6.6.6:6", id="boss", user="").partition("New ")[2]
    told = clients.read(UNSUBSCRIBED, f"1: New {forged}", 6)
    assert told is not None and (told.topic, told.fields["clientid"]) == ("$events/session/unsubscribed", "New")


@pytest.fixture(params=[1, 2], ids=["one process", "two processes"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Client]:
    with PlatformProcess(tmp_path / "cloud") as platform:
        mqtt = {"host": "127.0.0.1", "port": free_port()}
        made = platform.client.create_deployment(name="plant", provider="external", mqtt=mqtt, workers=request.param)
        with AgentProcess(platform.url, made.join_token, tmp_path / "agent"):
            wait_until(lambda: platform.client.deployment("plant").status == "running", "the agent")
            yield platform.client


def test_events_of_the_broker_become_rows(client: Client) -> None:
    port = client.deployment("plant").mqtt.port
    client.create_mqtt_user(
        "plant", name="ada", password="s3cr3t-of-a-device", rules=[{"topic": "#"}, {"topic": "$events/#"}]
    )
    with PostgreSQL() as database:
        database.execute(f"create table seen(number serial, {COLUMNS})")
        known = {"database": database.database, "username": database.user, "password": database.password}
        client.create_resource("plant", name="db", type="postgresql", server=database.server, **known)
        names = [column.split()[0] for column in COLUMNS.split(", ")]
        values = ", ".join(f"${{{name}}}" for name in names)
        topics = '"$events/client_connected", "$events/client/disconnected", "$events/session_subscribed"'
        client.create_rule(
            "plant",
            name="seen",
            sql=f"SELECT * FROM {topics}, \"$events/session/unsubscribed\" WHERE clientid != 'settled'",
            actions=[{"resource": "db", "sql": f"insert into seen({', '.join(names)}) values ({values})"}],
        )

        def settled() -> bool:
            found = client.deployment("plant")
            return found.agent.applied == found.revision and found.agent.broker

        wait_until(settled, "the agent's configuration")

        def rows() -> list[Any]:
            return database.execute(f"select {', '.join(names)} from seen order by number")

        with Device(port, "ada", "s3cr3t-of-a-device", client_id="pump 7") as device:
            assert device.subscribe("a/+") == 1
            device.client.unsubscribe("a/+")
            device.publish("$events/client/connected", json.dumps({"clientid": "forged"}).encode())
            wait_until(lambda: len(rows()) == 3, "three events")
        wait_until(lambda: len(rows()) == 4, "the end")
        with Device(port, "ada", "s3cr3t-of-a-device", client_id="lost") as device:
            wait_until(lambda: len(rows()) == 5, "another client")
            sock: Any = device.client.socket()
            sock.shutdown(socket.SHUT_RDWR)
            wait_until(lambda: ("client.disconnected", "lost") in [row[:2] for row in rows()], "the lost connection")
        found = rows()
        client.delete_resource("plant", "db", cascade=True)
    host = "127.0.0.1"
    assert found[:4] == [
        ("client.connected", "pump 7", "ada", None, None, None, host),
        ("session.subscribed", "pump 7", "ada", "a/+", 1, None, host),
        ("session.unsubscribed", "pump 7", "ada", "a/+", None, None, host),
        ("client.disconnected", "pump 7", "ada", None, None, "normal", host),
    ]
    assert found[5][:2] == ("client.disconnected", "lost") and found[5][5] == "tcp_closed"
    assert not [row for row in found if row[1] == "forged"]
