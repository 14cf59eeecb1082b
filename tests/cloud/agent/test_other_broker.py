"""A broker that somebody else runs: two agents share its messages, over TLS too, and say so when it locks them out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from paho.mqtt.client import Client as MqttClient
from paho.mqtt.enums import CallbackAPIVersion

from integration.sinks.test_reach import Ear
from platforms import AgentProcess, PlatformProcess
from servers import Mosquitto, PostgreSQL, free_port, wait_until
from tieline.agent.brokers.remote import RemoteBroker
from tieline.agent.brokers.settings import Remote
from tieline.agent.brokers.tunnel import Tunnel
from tieline.client.rest import Client, ClientError
from tieline.cloud.tls.certificates import self_signed
from tieline.integration.config.shapes import Reach
from tieline.integration.mqtt.session import Session
from tieline.integration.mqtt.session_store import Memory
from tieline.integration.sinks.base import reach
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.base.reach import Forbidden
from tieline.integration.sinks.mqtt.broker import MqttSink

PASSWORD = "s3cr3t-of-the-owner"
SQL = 'SELECT payload.n as n FROM "t/#"'
MESSAGES = 200


class Owned(Mosquitto):
    """A broker with one user and a TLS listener of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.tls = free_port()
        self.certificate = self_signed("owner", ["broker.example", "127.0.0.1"], datetime.now(UTC))

    def prepare(self) -> None:
        files = {"chain.pem": self.certificate.chain, "key.pem": self.certificate.key}
        for name, text in files.items():
            (self.directory / name).write_text(text)
            (self.directory / name).chmod(0o644)
        users = self.directory / "users"
        subprocess.run(["mosquitto_passwd", "-c", "-b", str(users), "owner", PASSWORD], check=True, capture_output=True)
        users.chmod(0o644)
        self.extra = (
            f"password_file {users}",
            f"listener {self.tls} 127.0.0.1",
            *(f"certfile {self.directory}/chain.pem", f"keyfile {self.directory}/key.pem"),
        )
        super().prepare()
        path = self.directory / "mosquitto.conf"
        path.write_text(path.read_text().replace("allow_anonymous true", "allow_anonymous false"))


@pytest.fixture(scope="module")
def owned() -> Iterator[Owned]:
    with Owned() as running:
        yield running


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQL]:
    with PostgreSQL() as running:
        running.execute("create table seen(n int)")
        yield running


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud") as running:
        yield running


def applied(client: Client, name: str, agents: int) -> bool:
    found = client.deployment(name)
    return found.agent.agents == agents and found.agent.applied == found.revision and found.agent.broker


def publish(port: int) -> None:
    client = MqttClient(CallbackAPIVersion.VERSION2)
    client.username_pw_set("owner", PASSWORD)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for information in [client.publish("t/x", json.dumps({"n": n}), 1) for n in range(MESSAGES)]:
        information.wait_for_publish(20)
    client.disconnect()
    client.loop_stop()


def write_to(client: Client, deployment: str, database: PostgreSQL) -> None:
    known = {"database": database.database, "username": database.user, "password": database.password}
    client.create_resource(deployment, name="db", type="postgresql", server=database.server, **known)
    action = {"resource": "db", "sql": "insert into seen values (${n})"}
    client.create_rule(deployment, name="all", sql=SQL, actions=[action])


def test_two_agents_share_the_messages(
    platform: PlatformProcess, owned: Owned, database: PostgreSQL, tmp_path: Path
) -> None:
    client = platform.client
    broker = {"host": "127.0.0.1", "port": owned.port, "username": "owner", "password": PASSWORD, "group": "plant"}
    made = client.create_deployment(name="shared", provider="external", broker=broker)
    assert PASSWORD not in made.model_dump_json()
    write_to(client, "shared", database)
    with AgentProcess(platform.url, made.join_token, tmp_path / "one") as one:
        with AgentProcess(platform.url, made.join_token, tmp_path / "two") as two:
            wait_until(lambda: applied(client, "shared", 2), "both agents")
            wait_until(lambda: client.deployment("shared").status == "running", "the deployment")
            assert "clientid" in client.deployment("shared").agent.without_origin
            publish(owned.port)
            wait_until(lambda: len(database.execute("select n from seen")) >= MESSAGES, "the rows")
            wait_until(
                lambda: client.rule("shared", "all").action_metrics[0].get("success") == MESSAGES, "the sum of both"
            )
            for text in (one.log(), two.log(), platform.log()):
                assert PASSWORD not in text
        assert sorted(row[0] for row in database.execute("select n from seen")) == list(range(MESSAGES))
        wait_until(lambda: applied(client, "shared", 1), "the agent that stays")
    with pytest.raises(ClientError) as refused:
        client.create_mqtt_user("shared", name="x", password="y")
    assert refused.value.code == "EXTERNAL_BROKER"
    client.delete_deployment("shared", cascade=True)
    database.execute("truncate seen")


def test_by_tls_with_the_right_authority_only(
    platform: PlatformProcess, owned: Owned, database: PostgreSQL, tmp_path: Path
) -> None:
    client = platform.client
    broker = {"host": "127.0.0.1", "port": owned.tls, "username": "owner", "password": PASSWORD, "tls": True}
    wrong = client.create_deployment(name="wrong", provider="external", broker=broker)
    good = {**broker, "authority": owned.certificate.authority, "server_name": "broker.example"}
    right = client.create_deployment(name="right", provider="external", broker=good)
    write_to(client, "right", database)
    agents = [AgentProcess(platform.url, made.join_token, tmp_path / made.name) for made in (wrong, right)]
    with agents[0], agents[1]:
        wait_until(lambda: applied(client, "right", 1), "the agent by TLS")
        publish(owned.port)
        wait_until(lambda: len(database.execute("select n from seen")) == MESSAGES, "the rows")
        wait_until(lambda: "CERTIFICATE_VERIFY_FAILED" in client.deployment("wrong").agent.error, "the reason")
        assert client.deployment("wrong").status == "creating"
    for name in ("wrong", "right"):
        client.delete_deployment(name, cascade=True)


def test_what_only_the_platforms_broker_has_is_refused(platform: PlatformProcess) -> None:
    broker = {"host": "127.0.0.1", "port": 1883}
    for more in ({"provider": "fabric"}, {"mqtts": {"host": "127.0.0.1", "port": 1}}, {"workers": 2}):
        with pytest.raises(ClientError) as refused:
            platform.client.create_deployment(**{"name": "x", "provider": "external", "broker": broker, **more})
        assert refused.value.code in ("EXTERNAL_BROKER", "CREDENTIALS")


def test_rules_that_need_what_another_broker_does_not_tell_are_refused(platform: PlatformProcess) -> None:
    client, broker = platform.client, {"host": "127.0.0.1", "port": 1883}
    client.create_deployment(name="theirs", provider="external", broker=broker)
    known = {"server": "127.0.0.1:5432", "database": "d", "username": "u"}
    client.create_resource("theirs", name="db", type="postgresql", **known)
    events = {"sql": 'SELECT clientid FROM "$events/client_connected"', "actions": []}
    once = {"resource": "db", "sql": "insert into t(n) values (${n})", "exactly_once": True}
    for wanted in (events, {"sql": SQL, "actions": [once]}):
        with pytest.raises(ClientError) as refused:
            client.create_rule("theirs", name="x", **wanted)
        assert refused.value.code == "NOT_TOLD"
    assert client.rules("theirs") == []


def test_more_processes_while_messages_flow(platform: PlatformProcess, database: PostgreSQL, tmp_path: Path) -> None:
    client = platform.client
    database.execute("truncate seen")
    mqtt = {"host": "127.0.0.1", "port": free_port()}
    made = client.create_deployment(name="grown", provider="external", mqtt=mqtt, anonymous=True)
    write_to(client, "grown", database)
    with AgentProcess(platform.url, made.join_token, tmp_path / "agent"):
        for workers in (1, 3, 2, 1):
            client.change(type(client.deployment("grown")), "deployments", "grown", changes={"workers": workers})
            wait_until(lambda: applied(client, "grown", 1), f"{workers} processes")
            _publish_anonymously(made.mqtt.port)
        wait_until(lambda: len(database.execute("select n from seen")) >= 4 * MESSAGES, "the rows")
        found = database.execute("select count(*), count(distinct n) from seen")
        assert found == [(4 * MESSAGES, MESSAGES)]
    client.delete_deployment("grown", cascade=True)


def _publish_anonymously(port: int) -> None:
    client = MqttClient(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    for information in [client.publish("t/x", json.dumps({"n": n}), 1) for n in range(MESSAGES)]:
        information.wait_for_publish(20)
    client.disconnect()
    client.loop_stop()


@pytest.mark.parametrize("tls", [False, True])
async def test_where_its_name_leads_is_judged_when_it_is_connected_to(tls: bool) -> None:
    """A name says nothing when it is recorded: here it is of an address that this agent may not connect to."""
    ear = Ear()
    async with ear.listening() as port:
        reach.use(Reach(loopback=False))
        broker = RemoteBroker(lambda: None)
        try:
            known = await broker.apply(Remote(host="localhost", port=port), "somebody")
            if tls:
                tunnel = Tunnel("localhost", port)
                known = msgspec.structs.replace(known, foreign=False, host="127.0.0.1", port=await tunnel.start())
                with pytest.raises((OSError, IndexError)):
                    await Session(known, "somebody", lambda _: None, tuple, Memory()).end()
                assert "may not be connected to" in tunnel.error
                await tunnel.close()
            else:
                with pytest.raises(Forbidden, match="may not be connected to"):
                    await Session(known, "somebody", lambda _: None, tuple, Memory()).end()
                with pytest.raises(Unavailable, match="may not be connected to"):
                    await MqttSink(known, "somebody").check([])
        finally:
            await broker.close()
            reach.use(Reach())
    assert ear.connections == 0
