"""A deployment outside: a real agent with a real broker writes what a rule makes of messages into a real database."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from paho.mqtt.client import Client as MqttClient
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from platforms import AgentProcess, PlatformProcess
from servers import PostgreSQL, family, free_port, wait_until
from tieline.agent.protocol import AGENT_PATH
from tieline.client.rest import Client, ClientError
from tieline.cloud.schemas.answers import CreatedDeployment

RULE = {
    "name": "warm",
    "sql": 'SELECT payload.device as device, payload.temp as temp FROM "sensors/#" WHERE payload.temp > 20',
    "actions": [{"resource": "db", "sql": "insert into readings(device, temp) values (${device}, ${temp})"}],
}


World = tuple[PlatformProcess, AgentProcess, CreatedDeployment]


@pytest.fixture(autouse=True)
def clean(world: World) -> Iterator[None]:
    """Each test finds the deployment without rules and resources."""
    yield
    platform, _, _ = world
    for resource in platform.client.resources("plant"):
        platform.client.delete_resource("plant", resource.id, cascade=True)


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQL]:
    with PostgreSQL() as running:
        running.execute("create table readings(device text, temp float8)")
        yield running


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A platform of its own, one external deployment, and its agent with a broker that works."""
    directory = tmp_path_factory.mktemp("world")
    with PlatformProcess(directory / "cloud") as platform:
        mqtt = {"host": "127.0.0.1", "port": free_port()}
        made = platform.client.create_deployment(name="plant", provider="external", mqtt=mqtt, anonymous=True)
        with AgentProcess(platform.url, made.join_token, directory / "agent") as agent:
            wait_until(lambda: agent.alive() and platform.client.deployment("plant").status == "running", "the agent")
            yield platform, agent, made


def resource(server: PostgreSQL, /, **changed: str) -> dict[str, str]:
    known = {"database": server.database, "username": server.user, "password": server.password}
    return {"name": "db", "type": "postgresql", "server": server.server, **known, **changed}


def publish(port: int, prefix: str, temperatures: range, version: MQTTProtocolVersion) -> None:
    """One message for each temperature at QoS 1, all of them acknowledged by the broker."""
    client = MqttClient(CallbackAPIVersion.VERSION2, protocol=version)
    client.connect("127.0.0.1", port)
    client.loop_start()
    wait_until(client.is_connected, "the broker's welcome", 5)
    for temperature in temperatures:
        payload = json.dumps({"device": f"{prefix}{temperature}", "temp": temperature})
        client.publish(f"sensors/{prefix}", payload, qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def devices(database: PostgreSQL, prefix: str) -> list[str]:
    rows = database.execute(f"select device from readings where device like '{prefix}%' order by temp")
    return [row[0] for row in rows]


def applied(client: Client) -> bool:
    found = client.deployment("plant")
    return found.agent.applied == found.revision and client.rule("plant", "warm").status == "running"


def test_from_a_device_to_the_database(world: World, database: PostgreSQL) -> None:
    platform, agent, made = world
    client = platform.client
    _test_names_the_hop(client, database)
    client.create_resource("plant", **resource(database))
    client.create_rule("plant", **RULE)
    client.probe_saved("plant", "db")
    client.probe_resource("plant", **resource(database, password="******"))
    wait_until(lambda: applied(client), "the rule on the agent")
    publish(made.mqtt.port, "a", range(15, 25), MQTTProtocolVersion.MQTTv311)
    publish(made.mqtt.port, "b", range(15, 25), MQTTProtocolVersion.MQTTv5)
    wait_until(lambda: len(devices(database, "a") + devices(database, "b")) == 8, "the rows")
    assert devices(database, "a") == ["a21", "a22", "a23", "a24"]
    wait_until(lambda: client.rule("plant", "warm").action_metrics[0].get("success") == 8, "the counters")
    metrics = httpx.get(f"{platform.url}/metrics", trust_env=False, verify=False).text
    assert f'tieline_rule_matched{{deployment="plant",rule="{client.rule("plant", "warm").id}"}} 20' in metrics
    shown = "".join(item.model_dump_json() for item in client.resources("plant"))
    for text in (shown, platform.log(), agent.log(), metrics):
        assert database.password not in text
        assert made.join_token not in text
    _files_are_private(agent)


def _test_names_the_hop(client: Client, database: PostgreSQL) -> None:
    """The Test passes for what is right, and names the hop of what is wrong."""
    client.probe_resource("plant", **resource(database))
    wrong = {
        "login": resource(database, password="wrong"),
        "database": resource(database, database="nothing"),
        "tcp": resource(database, server=f"127.0.0.1:{free_port()}"),
        "name": resource(database, server="nowhere.invalid:5432"),
    }
    for hop, wanted in wrong.items():
        with pytest.raises(ClientError) as failed:
            client.probe_resource("plant", **wanted)
        assert (failed.value.code, failed.value.extra["hop"]) == ("TEST_FAILED", hop)
        assert failed.value.hint
    with pytest.raises(ClientError) as failed:
        actions = [{"resource": "db", "sql": "insert into nowhere values (${device})"}]
        client.probe_resource("plant", **resource(database), actions=actions)
    assert failed.value.extra["hop"] == "statement"


def _files_are_private(agent: AgentProcess) -> None:
    kept = agent.state / "configuration.json"
    assert kept.stat().st_mode & 0o077 == 0
    assert PostgreSQL.password in kept.read_text()


def test_work_goes_on_while_the_platform_is_away(world: World, database: PostgreSQL) -> None:
    platform, agent, made = world
    client = platform.client
    client.create_resource("plant", **resource(database))
    client.create_rule("plant", **RULE)
    wait_until(lambda: applied(client), "the rule on the agent")
    platform.kill()
    publish(made.mqtt.port, "c", range(20, 25), MQTTProtocolVersion.MQTTv5)
    wait_until(lambda: devices(database, "c") == ["c21", "c22", "c23", "c24"], "rows without a platform")
    agent.kill()
    agent.start()
    wait_until(lambda: _rows_after(made.mqtt.port, database), "rows of an agent that never met the platform")
    platform.start()
    client.delete_rule("plant", "warm")
    wait_until(lambda: _caught_up(client), "the agent back, with what changed")
    assert client.resource("plant", "db").status in ("connected", "connecting")


def _rows_after(port: int, database: PostgreSQL) -> bool:
    try:
        publish(port, "d", range(21, 22), MQTTProtocolVersion.MQTTv5)
    except (OSError, RuntimeError):  # the old broker is on its way out, the new one not there yet
        return False
    return "d21" in devices(database, "d")


def _caught_up(client: Client) -> bool:
    found = client.deployment("plant")
    return found.agent.connected and found.agent.applied == found.revision


def test_the_broker_comes_back(world: World, database: PostgreSQL) -> None:
    platform, agent, _ = world
    wait_until(lambda: len(_children(agent, "mosquitto")) == 1, "its broker")
    [broker] = _children(agent, "mosquitto")
    assert "Uid:\t0" not in Path(f"/proc/{broker}/status").read_text()
    os.kill(broker, 9)
    wait_until(lambda: _children(agent, "mosquitto") not in ([], [broker]), "a new broker")
    wait_until(lambda: platform.client.deployment("plant").agent.broker, "a broker that works")


def _children(agent: AgentProcess, name: str) -> list[int]:
    """The processes of the agent that run a program of this name."""
    assert agent.process is not None
    return [pid for pid in family(agent.process.pid)[1:] if name in _command(pid)]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_token_is_good_for_its_deployment_only(
    world: World,
) -> None:
    platform, _, made = world
    client = platform.client
    other = client.create_deployment(name="other", provider="external", mqtt={"host": "127.0.0.1", "port": 1})
    mixed = made.join_token.replace(made.id, other.id)
    url = f"ws://127.0.0.1:{platform.port}{AGENT_PATH}"
    for token in (mixed, made.join_token[:-1], platform.key, "", "tlj_"):
        with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers=_bearer(token), proxy=None):
            pass
        assert refused.value.response.status_code == 401
    with connect(url, additional_headers=_bearer(other.join_token), proxy=None) as line:
        assert json.loads(line.recv())["config"]["version"] == other.revision
        assert client.deployment("other").agent.connected
    answer = httpx.get(f"{platform.url}/api/v1/deployments", headers=_bearer(made.join_token), trust_env=False)
    assert answer.status_code == 401


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_a_deleted_deployment_dismisses_its_agent(world: World, tmp_path: Path) -> None:
    platform, _, _ = world
    mqtt = {"host": "127.0.0.1", "port": free_port()}
    made = platform.client.create_deployment(name="short", provider="external", mqtt=mqtt, anonymous=True)
    with AgentProcess(platform.url, made.join_token, tmp_path / "agent") as agent:
        wait_until(lambda: platform.client.deployment("short").status == "running", "the agent")
        assert (agent.state / "configuration.json").exists()
        platform.client.delete_deployment("short")
        process = agent.process
        assert process is not None
        wait_until(lambda: process.poll() is not None, "the end of the agent")
        assert process.returncode == 0
        assert not (agent.state / "configuration.json").exists()
    with pytest.raises(ClientError) as gone:
        platform.client.deployment("short")
    assert gone.value.status == 404
