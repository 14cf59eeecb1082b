"""A deployment's real broker: who gets in, what they may do, by which listener, and who a rule sees publishing."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from paho.mqtt.client import Client as MqttClient
from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from platforms import AgentProcess, PlatformProcess
from servers import PostgreSQL, free_port, wait_until
from tieline.client.rest import Client, ClientError
from tieline.cloud.model.records import DeploymentView, MqttUserView
from tieline.cloud.schemas.answers import DeploymentAnswer
from tieline.cloud.tls.certificates import self_signed

World = tuple[PlatformProcess, AgentProcess]
PASSWORD = "s3cr3t-of-a-device"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("world")
    with PlatformProcess(directory / "cloud") as platform:
        mqtt = {"host": "127.0.0.1", "port": free_port()}
        made = platform.client.create_deployment(name="plant", provider="external", mqtt=mqtt, anonymous=None)
        with AgentProcess(platform.url, made.join_token, directory / "agent") as agent:
            wait_until(lambda: agent.alive() and plant(platform.client).status == "running", "the agent")
            yield platform, agent


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    """The platform; afterwards the broker is as it was at first."""
    platform, _ = world
    yield platform.client
    for user in platform.client.mqtt_users("plant"):
        platform.client.delete_mqtt_user("plant", user.name)
    change(platform.client, mqtts=None, websocket=None, anonymous=None)
    settled(platform.client)


def plant(client: Client) -> DeploymentAnswer:
    return client.deployment("plant")


def change(client: Client, **changes: Any) -> None:
    client.change(DeploymentAnswer, "deployments", "plant", changes=changes)


def settled(client: Client) -> None:
    def done() -> bool:
        found = plant(client)
        return found.agent.applied == found.revision and found.agent.broker

    wait_until(done, "the agent's configuration")


class Device:
    """An MQTT client that remembers what it got."""

    def __init__(self, port: int, name: str = "", password: str = "", **how: Any) -> None:
        transport: Literal["tcp", "websockets"] = how.get("transport", "tcp")
        self.client = MqttClient(
            CallbackAPIVersion.VERSION2,
            client_id=how.get("client_id", ""),
            protocol=MQTTProtocolVersion.MQTTv5,
            transport=transport,
        )
        self.result = ""
        self.ended = False
        self.got: list[bytes] = []
        if name:
            self.client.username_pw_set(name, password)
        if "authority" in how:
            self.client.tls_set_context(ssl.create_default_context(cadata=how["authority"]))
        self.client.on_connect = self._connected
        self.client.on_disconnect = self._ended
        self.client.on_message = self._heard
        kept = {name: how[name] for name in ("clean_start", "properties") if name in how}
        self.client.connect("127.0.0.1", port, **kept)
        self.client.loop_start()
        wait_until(lambda: bool(self.result), "an answer to CONNECT")

    def _connected(self, _: Any, __: Any, flags: ConnectFlags, code: ReasonCode, properties: Any) -> None:
        self.result = self.result or str(code)

    def _ended(self, _: Any, __: Any, flags: DisconnectFlags, code: ReasonCode, properties: Any) -> None:
        self.ended = True

    def _heard(self, _: Any, __: Any, message: MQTTMessage) -> None:
        self.got.append(bytes(message.payload))

    def subscribe(self, topic: str) -> int:
        """The reason code of the SUBACK."""
        codes: list[int] = []
        self.client.on_subscribe = lambda *given: codes.extend(code.value for code in given[3])
        self.client.subscribe(topic, 1)
        wait_until(lambda: bool(codes), "SUBACK")
        return codes[0]

    def publish(self, topic: str, payload: bytes, *pairs: tuple[str, str]) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if pairs:
            properties.UserProperty = list(pairs)
        self.client.publish(topic, payload, 1, properties=properties).wait_for_publish(10)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def refused(port: int, name: str = "", password: str = "") -> bool:
    with Device(port, name, password) as device:
        return device.result == "Not authorized"


def test_the_first_user_ends_anonymous_access_and_nobody_elses(client: Client) -> None:
    port = plant(client).mqtt.port
    with Device(port) as anonymous:
        assert anonymous.result == "Success"
        client.create_mqtt_user("plant", name="ada", password=PASSWORD)
        settled(client)
        wait_until(lambda: anonymous.ended, "the end of the anonymous connection")
    with Device(port, "ada", PASSWORD) as ada:
        assert ada.result == "Success"
        assert refused(port)
        assert refused(port, "ada", "guess")
        assert refused(port, "tieline-agent", "guess")
        client.create_mqtt_user("plant", name="bob", password=PASSWORD)
        settled(client)
        assert not refused(port, "bob", PASSWORD)
        change(client, anonymous=True)
        settled(client)
        wait_until(lambda: not refused(port), "anonymous access")
        assert not ada.ended
        client.delete_mqtt_user("plant", "ada")
        settled(client)
        wait_until(lambda: ada.ended, "the end of the deleted user's connection")
    assert refused(port, "ada", PASSWORD)


def test_rules_on_topics_hold_at_once(client: Client) -> None:
    port = plant(client).mqtt.port
    allowed = [{"topic": "own/secret", "permission": "deny"}, {"topic": "own/#"}]
    client.create_mqtt_user("plant", name="ada", password=PASSWORD, rules=allowed)
    client.create_mqtt_user("plant", name="all", password=PASSWORD)
    settled(client)
    with Device(port, "all", PASSWORD) as everything, Device(port, "ada", PASSWORD) as ada:
        assert everything.subscribe("#") == 1
        assert ada.subscribe("own/+") == 1
        assert ada.subscribe("foreign") >= 128
        assert ada.subscribe("#") >= 128
        for topic in ("foreign", "own/secret", "own/a"):
            ada.publish(topic, topic.encode())
        wait_until(lambda: everything.got == [b"own/a"], "what was allowed")
        everything.publish("own/secret", b"hidden")
        everything.publish("own/b", b"shown")
        wait_until(lambda: b"shown" in ada.got, "what may be read")
        assert b"hidden" not in ada.got
        rules = {"rules": [{"topic": "other/#"}]}
        client.change(MqttUserView, "deployments", "plant", "mqtt-users", "ada", changes=rules)
        settled(client)
        wait_until(lambda: ada.ended, "a connection under the new rules")
    with Device(port, "ada", PASSWORD) as ada:
        assert ada.subscribe("own/+") >= 128
        assert ada.subscribe("other/+") == 1


@pytest.mark.parametrize("topic", ["a#", "#/a", "a+/b", "", "a\0"])
def test_a_topic_that_is_no_filter_is_refused(client: Client, topic: str) -> None:
    with pytest.raises(ClientError) as wrong:
        client.create_mqtt_user("plant", name="ada", password=PASSWORD, rules=[{"topic": topic}])
    assert wrong.value.status == 422
    assert client.mqtt_users("plant") == []


def test_tls_and_websocket(client: Client, world: World) -> None:
    tls, websocket = free_port(), free_port()
    change(client, mqtts={"host": "127.0.0.1", "port": tls}, websocket={"host": "127.0.0.1", "port": websocket})
    settled(client)
    authority = client.certificate("plant")
    assert "PRIVATE" not in authority
    with Device(tls, authority=authority) as secure, Device(websocket, transport="websockets") as browser:
        assert (secure.result, browser.result) == ("Success", "Success")
        assert browser.subscribe("t") == 1
        secure.publish("t", b"across")
        wait_until(lambda: browser.got == [b"across"], "a message from TLS to WebSocket")
    strict = ssl.create_default_context(cadata=self_signed("other", ["127.0.0.1"], datetime.now(UTC)).authority)
    with socket.create_connection(("127.0.0.1", tls)) as plain, pytest.raises(ssl.SSLCertVerificationError):
        strict.wrap_socket(plain, server_hostname="127.0.0.1")
    platform, agent = world
    key = (agent.state / "broker" / "key.pem").read_text()
    for text in (plant(client).model_dump_json(), platform.log(), agent.log()):
        assert key.splitlines()[1] not in text
    client.change(DeploymentView, "deployments", "plant", changes={"description": "x"})
    assert client.certificate("plant") == authority


def test_a_certificate_without_its_key_is_refused(client: Client) -> None:
    one, other = (self_signed("x", ["127.0.0.1"], datetime.now(UTC)) for _ in range(2))
    for chain, key in ((one.chain, other.key), ("", one.key), (one.chain, "PEM"), (one.key, one.key)):
        with pytest.raises(ClientError) as wrong:
            change(client, certificate={"chain": chain, "key": key})
        assert wrong.value.code == "INVALID_CERTIFICATE"
    port = free_port()
    change(client, mqtts={"host": "127.0.0.1", "port": port}, certificate={"chain": one.chain, "key": one.key})
    settled(client)
    with Device(port, authority=one.authority) as device:
        assert device.result == "Success"


def test_a_rule_sees_who_published_and_cannot_be_deceived(client: Client) -> None:
    assert plant(client).agent.without_origin == ""
    client.create_mqtt_user("plant", name="ada", password=PASSWORD)
    with PostgreSQL() as database:
        database.execute("create table seen(clientid text, username text, own text)")
        known = {"database": database.database, "username": database.user, "password": database.password}
        client.create_resource("plant", name="db", type="postgresql", server=database.server, **known)
        sql = 'SELECT clientid, username, payload.own as own FROM "who"'
        statement = "insert into seen values (${clientid}, ${username}, ${own})"
        client.create_rule("plant", name="who", sql=sql, actions=[{"resource": "db", "sql": statement}])
        settled(client)
        with Device(plant(client).mqtt.port, "ada", PASSWORD, client_id="pump-7") as device:
            forged = (("clientid", "boss"), ("username", "root"))
            for number, pairs in enumerate(((), forged, (*forged, *forged))):
                device.publish("who", json.dumps({"own": str(number)}).encode(), *pairs)
        wait_until(lambda: len(database.execute("select * from seen")) == 3, "the rows")
        seen = database.execute("select clientid, username, own from seen order by own")
        client.delete_resource("plant", "db", cascade=True)
    assert seen == [("pump-7", "ada", str(number)) for number in range(3)]


def test_a_stopped_deployment_keeps_what_it_had(client: Client) -> None:
    port = plant(client).mqtt.port
    client.switch("plant", "stop")
    wait_until(lambda: plant(client).status == "stopped", "the stop")
    with pytest.raises(OSError):
        Device(port)
    assert plant(client).agent.connected
    client.switch("plant", "start")
    wait_until(lambda: plant(client).status == "running", "the start")
    assert not refused(port)
    events = [entry.event for entry in plant(client).history]
    assert events[-4:] == ["stop asked for", "stopping", "stopped", "start asked for", "creating", "running"][-4:]


def test_users_outlive_broker_and_agent(client: Client, world: World) -> None:
    _, agent = world
    client.create_mqtt_user("plant", name="ada", password=PASSWORD)
    settled(client)
    port = plant(client).mqtt.port
    agent.kill()
    agent.start()
    wait_until(lambda: _answers(port), "the broker")
    assert not refused(port, "ada", PASSWORD)
    assert refused(port)
    for path in Path(agent.state).rglob("*"):
        if path.is_file() and path.name in ("dynamic-security.json", "broker-password", "configuration.json"):
            assert path.stat().st_mode & 0o077 == 0, path


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return refused(port)
    time.sleep(0.05)
    return False
