"""Nobody but the agent gets what the rules are to receive: by no client id, no shared group, no topic of the broker."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cloud.brokers.test_broker import Device, change
from platforms import AgentProcess, PlatformProcess
from servers import PostgreSQL, free_port, wait_until
from tieline.agent import worker as worker_module
from tieline.agent.brokers.settings import CLIENT_ID, Listener, Settings
from tieline.agent.memory import NAME
from tieline.agent.protocol import Configure
from tieline.agent.worker import Worker
from tieline.client.rest import Client, ClientError
from tieline.integration.config import shapes as config
from tieline.integration.mqtt.session_store import FILE

PASSWORD = "s3cr3t-of-a-device"
SQL = 'SELECT payload.n as n FROM "t/#"'
INSERT = "insert into seen values (${n})"
NARROW = [{"topic": "elsewhere/#", "action": "publish"}]


class Session(Device):
    """A client that asks for the session which the broker keeps under its id, and leaves it there."""

    def __init__(self, port: int, name: str, client_id: str) -> None:
        kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        kept.SessionExpiryInterval = 3600
        how = {"client_id": client_id, "clean_start": False, "properties": kept}
        super().__init__(port, name, PASSWORD if name else "", **how)

    def __enter__(self) -> Session:
        return self


class Plant:
    """A deployment with a rule that writes every message of `t/#` to a database."""

    def __init__(self, client: Client, database: PostgreSQL, agent: Path) -> None:
        self.client, self.database, self.agent = client, database, agent
        self.port = client.deployment("plant").mqtt.port

    def settled(self) -> None:
        def done() -> bool:
            found = self.client.deployment("plant")
            return found.agent.applied == found.revision and found.agent.broker

        wait_until(done, "the agent's configuration")

    def rows(self) -> list[int]:
        return [row[0] for row in self.database.execute("select n from seen order by n")]

    def sessions(self) -> list[str]:
        """The client ids that the agent has at the broker."""
        files = (self.agent / "integration").rglob(FILE)
        return [name for file in files for name in json.loads(file.read_text())]


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two processes"])
def plant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    directory = tmp_path_factory.mktemp("plant")
    with PostgreSQL() as database, PlatformProcess(directory / "cloud") as platform:
        client, mqtt = platform.client, {"host": "127.0.0.1", "port": free_port()}
        made = client.create_deployment(name="plant", provider="external", mqtt=mqtt, workers=request.param)
        with AgentProcess(platform.url, made.join_token, directory / "agent"):
            wait_until(lambda: client.deployment("plant").status == "running", "the agent")
            database.execute("create table seen(n int)")
            known = {"database": database.database, "username": database.user, "password": database.password}
            client.create_mqtt_user("plant", name="all", password=PASSWORD)
            client.create_mqtt_user("plant", name="narrow", password=PASSWORD, rules=NARROW)
            client.create_resource("plant", name="db", type="postgresql", server=database.server, **known)
            client.create_rule("plant", name="r", sql=SQL, actions=[{"resource": "db", "sql": INSERT}])
            there = Plant(client, database, directory / "agent")
            there.settled()
            yield there


@pytest.fixture
def everything(plant: Plant) -> Iterator[Device]:
    plant.database.execute("delete from seen")
    with Device(plant.port, "all", PASSWORD) as device:
        yield device


def refused(port: int, name: str, client_id: str) -> bool:
    with Session(port, name, client_id) as device:
        return device.result == "Not authorized"


@pytest.mark.parametrize("user", ["all", "narrow", ""])
def test_no_client_id_takes_a_session_of_the_agents(plant: Plant, everything: Device, user: str) -> None:
    taken = [
        CLIENT_ID,
        f"{CLIENT_ID}-w0",
        f"{CLIENT_ID}-events",
        f"{CLIENT_ID}-republish",
        f"{CLIENT_ID}.",
        *plant.sessions(),
    ]
    assert plant.sessions()
    if not user:
        change(plant.client, anonymous=True)
        plant.settled()
    assert all(refused(plant.port, user, name) for name in taken)
    for n in range(20):
        everything.publish("t/x", json.dumps({"n": n}).encode())
    wait_until(lambda: plant.rows() == list(range(20)), "all the rows")


def test_the_names_of_sessions_and_groups_carry_a_secret(plant: Plant) -> None:
    secret = (plant.agent / NAME).read_text()
    assert (plant.agent / NAME).stat().st_mode & 0o077 == 0
    assert len(secret) >= 24
    assert all(secret in name for name in plant.sessions())
    held = [
        filter
        for file in (plant.agent / "integration").rglob(FILE)
        for filters in json.loads(file.read_text()).values()
        for filter in filters
    ]
    assert held and all(secret in filter.split("/")[1] for filter in held if filter.startswith("$share/"))


def test_no_guessed_group_takes_a_share(plant: Plant, everything: Device) -> None:
    with Device(plant.port, "all", PASSWORD) as thief, Device(plant.port, "narrow", PASSWORD) as narrow:
        for session in [CLIENT_ID, f"{CLIENT_ID}-w0", *(name.rpartition(".")[0] for name in plant.sessions())]:
            assert thief.subscribe(f"$share/{session}/t/#") >= 128
            assert narrow.subscribe(f"$share/{session}/t/#") >= 128
        assert thief.subscribe("$share/a-group-of-its-own/t/#") == 1
        for n in range(30):
            everything.publish("t/x", json.dumps({"n": n}).encode())
        wait_until(lambda: plant.rows() == list(range(30)), "all the rows")
        assert not narrow.got


def test_what_the_agent_publishes_does_not_tell_its_secret(plant: Plant, everything: Device) -> None:
    """Each message tells its subscribers who published it: of the agent's own, no more than everybody knows."""
    secret = (plant.agent / NAME).read_text()
    told: list[tuple[str, str]] = []
    again = plant.client.create_rule(
        "plant",
        name="again",
        sql='SELECT payload.n as n FROM "t/#"',
        actions=[{"kind": "republish", "topic": "again", "payload": "${n}"}],
    )
    lives = plant.client.create_rule(
        "plant",
        name="lives",
        sql='SELECT clientid FROM "$events/client/connected"',
        actions=[{"kind": "republish", "topic": "lives"}],
    )
    try:
        plant.settled()
        with Device(plant.port, "all", PASSWORD) as listener:
            listener.client.on_message = lambda *given: told.extend(given[2].properties.UserProperty)
            assert listener.subscribe("again") == listener.subscribe("lives") == 1
            everything.publish("t/x", b'{"n": 1}')
            with Device(plant.port, "all", PASSWORD, client_id="somebody"):
                wait_until(lambda: [pair[0] for pair in told].count("clientid") >= 2, "the message and an event")
    finally:
        for rule in (again, lives):
            plant.client.delete_rule("plant", rule.id)
        plant.settled()
    assert not [pair for pair in told if secret in "".join(pair)], told
    assert {value for name, value in told if name == "clientid"} == {CLIENT_ID}


def test_nothing_comes_that_no_rule_allows(plant: Plant, everything: Device) -> None:
    """Not even in a session whose subscriptions another user made."""
    name = secrets.token_hex(8)
    with Session(plant.port, "all", name) as owner:
        assert owner.subscribe("t/#") == 1
    everything.publish("t/x", b'{"n": 1}')
    with Session(plant.port, "narrow", name) as heir:
        assert heir.result == "Success"
        everything.publish("t/x", b'{"n": 2}')
        wait_until(lambda: plant.rows() == [1, 2], "both rows")
        assert heir.subscribe("elsewhere/x") >= 128  # it comes after what would have come before
        assert not heir.got


@pytest.mark.parametrize(
    "topic", ["$SYS/#", "$SYS/broker/log/N", "$CONTROL/dynamic-security/v1/response", "$share/g/$SYS/#"]
)
def test_what_the_broker_says_of_itself_is_not_told(plant: Plant, everything: Device, topic: str) -> None:
    with pytest.raises(ClientError) as wrong:
        plant.client.create_mqtt_user("plant", name="boss", password=PASSWORD, rules=[{"topic": topic}])
    assert wrong.value.status == 422
    assert {user.name for user in plant.client.mqtt_users("plant")} == {"all", "narrow"}
    everything.subscribe(topic)
    assert everything.subscribe("heard") == 1
    everything.publish("$CONTROL/dynamic-security/v1", json.dumps({"commands": [{"command": "listClients"}]}).encode())
    everything.publish("heard", b"after all")
    wait_until(lambda: b"after all" in everything.got, "the last message")
    assert everything.got == [b"after all"]


# An agent of a former version, whose sessions had names that everybody knows


def wanted(database: PostgreSQL, port: int, version: int, workers: int, server: str = "") -> Configure:
    resource = config.PostgreSQL(
        id="res-1",
        server=server or database.server,
        connect_timeout=1.0,
        database=database.database,
        username=database.user,
        password=database.password,
    )
    rule = config.Rule(id="r", sql=SQL, actions=(config.Sql(id="a", resource="res-1", sql=INSERT),))
    settings = Settings(mqtt=Listener(host="127.0.0.1", port=port))
    return Configure(
        config=config.Config(version=version, resources=(resource,), rules=(rule,)), broker=settings, workers=workers
    )


async def applied(worker: Worker, version: int) -> None:
    async with asyncio.timeout(60):
        while (await worker.report()).applied != version:
            await asyncio.sleep(0.02)


def publish(port: int, numbers: range) -> None:
    with Device(port) as device:
        for n in numbers:
            device.publish("t/x", json.dumps({"n": n}).encode())


@pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two processes"])
async def test_what_waits_under_a_former_name_is_written_and_the_session_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, workers: int
) -> None:
    port = free_port()
    with PostgreSQL() as database:
        database.execute("create table seen(n int)")
        monkeypatch.setattr(worker_module, "own_name", lambda _: CLIENT_ID)
        monkeypatch.setattr(worker_module, "Former", Nothing)
        nowhere = f"127.0.0.1:{free_port()}"
        old = Worker(tmp_path, lambda: None)
        await old.configure(wanted(database, port, 1, workers, nowhere))
        await applied(old, 1)
        await asyncio.to_thread(publish, port, range(20))
        await old.close()
        names = [name for file in tmp_path.rglob(FILE) for name in json.loads(file.read_text())]
        assert names and all(name.startswith(f"{CLIENT_ID}-") for name in names)
        monkeypatch.undo()

        new = Worker(tmp_path, lambda: None)
        try:
            await new.configure(wanted(database, port, 1, workers, nowhere))  # the database is still away
            await applied(new, 1)
            await asyncio.to_thread(publish, port, range(20, 30))
            await new.configure(wanted(database, port, 2, workers))
            async with asyncio.timeout(60):
                while sorted(set(await asyncio.to_thread(rows, database))) != list(range(30)):
                    await asyncio.sleep(0.05)
                while any((tmp_path / "integration").glob("worker-former*")):
                    await asyncio.sleep(0.05)
            assert await asyncio.to_thread(rows, database) == list(range(30))  # and none of them twice
            left = [name for file in tmp_path.rglob(FILE) for name in json.loads(file.read_text())]
            assert left and all((tmp_path / NAME).read_text() in name for name in left)
        finally:
            await new.close()
        assert not [name for name in names if name.encode() in queues(tmp_path)]


def queues(state: Path) -> bytes:
    """What the broker wrote when it ended: its sessions."""
    return (state / "broker" / "mosquitto.db").read_bytes()


def rows(database: PostgreSQL) -> list[int]:
    return [row[0] for row in database.execute("select n from seen order by n")]


class Nothing:
    """A former version knows of no former names."""

    def __init__(self, *_: Any) -> None: ...

    async def follow(self, *_: Any) -> None: ...

    async def close(self) -> None: ...

    def metrics(self) -> list[dict[str, Any]]:
        return []
