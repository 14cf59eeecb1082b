"""What could not be written is seen, corrected, tried again, exported and discarded over REST; counters have a past."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cloud.brokers.test_broker import Device
from platforms import AgentProcess, PlatformProcess
from servers import PostgreSQL, free_port, wait_until

World = tuple[PlatformProcess, AgentProcess, PostgreSQL]
SQL = 'SELECT payload.device as device, payload.temp as temp FROM "s/#"'


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two processes"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("world")
    with PlatformProcess(directory / "cloud") as platform, PostgreSQL() as database:
        client = platform.client
        mqtt = {"host": "127.0.0.1", "port": free_port()}
        made = client.create_deployment(
            name="plant", provider="external", mqtt=mqtt, workers=request.param, anonymous=True
        )
        database.execute("create table warm(device text, temp float8 check (temp < 100))")
        known = {"database": database.database, "username": database.user, "password": database.password}
        client.create_resource("plant", name="db", type="postgresql", server=database.server, **known)
        action = {"resource": "db", "sql": "insert into warm values (${device}, ${temp})"}
        say = {"kind": "republish", "topic": "said/${device}", "payload": "it is ${temp}"}
        client.create_rule("plant", name="warm", sql=SQL, actions=[action, say])
        with AgentProcess(platform.url, made.join_token, directory / "agent") as agent:
            wait_until(lambda: agent.alive() and applied(platform), "the agent")
            yield platform, agent, database


def applied(platform: PlatformProcess) -> bool:
    found = platform.client.deployment("plant")
    return found.status == "running" and found.agent.applied == found.revision


@pytest.fixture
def http(world: World) -> Iterator[httpx.Client]:
    platform = world[0]
    headers = {"Authorization": f"Bearer {platform.key}"}
    base = f"{platform.url}/api/v1/deployments/plant"
    with httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=30) as connected:
        yield connected


def publish(platform: PlatformProcess, *temperatures: float) -> None:
    with Device(platform.client.deployment("plant").mqtt.port) as device:
        for n, temp in enumerate(temperatures):
            device.publish("s/1", json.dumps({"device": f"d{n}", "temp": temp}).encode())


def letters(http: httpx.Client, **asked: Any) -> list[dict[str, Any]]:
    answer = http.get("/dead-letters", params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["letters"]
    return found


def test_a_letter_from_its_error_to_its_row(world: World, http: httpx.Client) -> None:
    platform, _, database = world
    publish(platform, 20, 200, 300, 400, 21)
    wait_until(lambda: len(letters(http)) == 3, "three letters")
    wait_until(lambda: len(database.execute("select * from warm")) == 2, "two rows")
    assert len(letters(http, rule="warm")) == 3
    assert http.get("/dead-letters", params={"rule": "cold"}).status_code == 404
    first = http.get("/dead-letters", params={"limit": 2}).json()
    rest = letters(http, cursor=first["next_cursor"])
    found = {one["output"]["temp"]: one for one in (*first["letters"], *rest)}
    assert sorted(found) == [200, 300, 400]
    hot = found[200]
    assert "warm_temp_check" in hot["error"] and hot["message"]["topic"] == "s/1"
    exported = [json.loads(line) for line in http.get("/dead-letters/export").text.splitlines()]
    assert exported == [*first["letters"], *rest]
    fixed = http.patch(f"/dead-letters/{hot['id']}", json={"message": {"payload": {"device": "d1", "temp": 22}}})
    assert fixed.status_code == 200 and json.loads(fixed.json()["message"]["payload"]) == {"device": "d1", "temp": 22}
    assert http.patch(f"/dead-letters/{hot['id']}", json={"message": {"colour": 1}}).json()["code"] == "UNKNOWN_FIELD"
    assert http.patch("/dead-letters/nothing", json={"message": {"qos": 1}}).status_code == 404
    answer = http.post("/dead-letters/replay", json={"ids": [hot["id"], "nothing"]}).json()
    assert answer == {"under_way": 1, "staying": {"nothing": "there is no such letter"}}
    wait_until(lambda: len(database.execute("select * from warm")) == 3, "the corrected row")
    wait_until(lambda: len(letters(http)) == 2, "two letters left")
    assert http.post("/dead-letters/discard", json={"rule": "warm"}).status_code == 204
    assert letters(http) == []
    noted = [entry for entry in platform.client.audit().entries if entry.kind == "dead letter"]
    assert [(entry.action, entry.record) for entry in reversed(noted)] == [
        ("corrected", hot["id"]),
        ("replayed", ""),
        ("discarded", ""),
    ]
    assert noted[-1].after == {"fields": ["payload"]} and (noted[0].after or {})["letters"] == 2


def test_letters_from_the_command_line(world: World, http: httpx.Client) -> None:
    platform, _, database = world

    def letter(*arguments: str) -> str:
        where = ["--deployment", "plant", "--url", platform.url, "--api-key", platform.key]
        command = [sys.executable, "-m", "tieline", "letter", *arguments, *where]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    before = len(database.execute("select * from warm"))
    publish(platform, 500, 600)
    wait_until(lambda: len(letters(http)) == 2, "two letters")
    listed = letter("list")
    assert all(one["id"] in listed for one in letters(http)) and "warm_temp_check" in letter("list", "--json")
    hot = [json.loads(line) for line in letter("export", "--rule", "warm").splitlines()]
    assert sorted(one["output"]["temp"] for one in hot) == [500, 600]
    letter("correct", hot[0]["id"], "--payload", '{"device": "d9", "temp": 9}')
    assert json.loads(letter("replay", hot[0]["id"])) == {"under_way": 1, "staying": {}}
    assert len(database.execute("select * from warm")) == before + 1  # the command has waited for it
    assert "warm" in listed and "s/1" in listed
    where = ["--deployment", "plant", "--url", platform.url, "--api-key", platform.key]
    command = [sys.executable, "-m", "tieline", "letter", "replay", hot[1]["id"], *where]
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 1 and "0 written, 1 came back" in again.stderr and "warm_temp_check" in again.stderr
    wait_until(lambda: len(database.execute("select * from warm")) == before + 1, "the corrected row")
    wait_until(lambda: len(letters(http)) == 1, "one letter left")
    assert letter("discard", "--all") == "1 discarded\n" and letters(http) == []


def test_letters_that_are_large_together_are_listed_and_discarded_by_an_agent_that_stays(
    world: World, http: httpx.Client
) -> None:
    platform, agent, _ = world
    with Device(platform.client.deployment("plant").mqtt.port) as device:
        for n in range(60):
            device.publish("s/1", json.dumps({"device": "x" * 300_000, "temp": 1000 + n}).encode())
            for _ in range(2):  # for each of two processes, which the broker gives messages in turn
                device.publish("s/1", json.dumps({"device": "good", "temp": 1}).encode())
    wait_until(lambda: platform.client.deployment("plant").agent.dead_letters == 120, "a letter of each action")
    found: list[str] = []
    page = http.get("/dead-letters").json()
    while True:
        found += [one["id"] for one in page["letters"]]
        if not page["next_cursor"]:
            break
        page = http.get("/dead-letters", params={"cursor": page["next_cursor"]}).json()
    assert len(set(found)) == len(found) == 120
    assert http.post("/dead-letters/discard", json={}).status_code == 204
    assert letters(http) == [] and platform.client.deployment("plant").agent.connected and agent.alive()


def test_a_recorded_rule_is_tried_without_sending_anything(world: World, http: httpx.Client) -> None:
    rows = world[2].execute("select count(*) from warm")
    sample = {"context": {"topic": "s/1", "payload": {"device": "d", "temp": 5}}}
    answer = http.post("/rules/warm/test", json=sample)
    assert answer.status_code == 200, answer.text
    (written, said), result = answer.json()["actions"][0], answer.json()["result"]
    assert result == {"device": "d", "temp": 5}
    assert written["fields"] == {"device": "d", "temp": 5} and written["texts"]["sql"].startswith("insert into warm")
    assert said["texts"] == {"topic": "said/d", "payload": "it is 5"}
    assert http.post("/rules/warm/test", json={"context": {"topic": "t"}}).json()["code"] == "NOT_MATCH"
    assert world[2].execute("select count(*) from warm") == rows


def test_counters_have_a_past_and_are_reset(world: World, http: httpx.Client) -> None:
    publish(world[0], 1, 2, 3)

    def past() -> dict[str, Any]:
        answer = http.get("/rules/warm/metrics")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    wait_until(lambda: bool(past()["history"]) and past()["history"][-1][1] >= 3, "a sample with the messages")
    found = past()
    assert found["metrics"]["matched"] >= 3 and len(found["action_metrics"]) == 2
    assert [len(samples) > 0 for samples in found["action_history"]] == [True, True]
    assert http.post("/rules/warm/metrics/reset").status_code == 204
    wait_until(lambda: past()["metrics"]["matched"] == 0, "zero")
    page = httpx.get(f"{world[0].url}/metrics", headers=dict(http.headers), trust_env=False).text
    assert "tieline_rule_matched" in page


def test_an_agent_that_is_away_is_said_to_be(world: World, http: httpx.Client) -> None:
    agent = world[1]
    agent.kill()
    wait_until(lambda: http.get("/dead-letters").json().get("code") == "AGENT_AWAY", "the agent's end noticed")
    assert http.get("/dead-letters/export").status_code == 503
    agent.start()
    wait_until(lambda: http.get("/dead-letters").status_code == 200, "the agent back")
