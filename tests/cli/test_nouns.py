"""The nouns as a person types them: tables and JSON, exit statuses, and errors that help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from platforms import PlatformProcess

PASSWORD = "s3cr3t-typed-by-hand"
SQL = 'SELECT payload.device as device FROM "sensors/#" WHERE payload.temp > 20'


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud") as running:
        yield running.state


def tieline(state: Path | None, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TIELINE_")}
    known = {"TIELINE_STATE": str(state)} if state else {}
    return subprocess.run(
        [sys.executable, "-m", "tieline", *arguments],
        env={**clean, **known, **environment, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def ok(state: Path, *arguments: str, **environment: str) -> str:
    done = tieline(state, *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_deployment_with_a_resource_and_a_rule(state: Path) -> None:
    made: dict[str, Any] = json.loads(ok(state, "deployment", "create", "plant", "--external", "--json"))
    assert made["status"] == "creating"
    assert made["join_token"].startswith("tlj_")
    assert made["join_token"] not in ok(state, "deployment", "show", "plant")
    assert "plant" in ok(state, "deployment", "list")
    options = ["--server", "127.0.0.1:5432", "--database", "app", "--username", "app", "--option", "pool_size=4"]
    shown = ok(state, "resource", "create", "db", *options, TIELINE_PASSWORD=PASSWORD)
    shown += ok(state, "resource", "show", "db", "--json")
    assert json.loads(ok(state, "resource", "list", "--json"))[0]["pool_size"] == 4
    ok(state, "deployment", "create", "mill", "--external", "--mqtt", "127.0.0.1:2")
    [_, row] = ok(state, "resource", "list").split("\n", 1)
    assert row.split()[0] == "plant"
    assert json.loads(ok(state, "resource", "list", "--deployment", "mill", "--json")) == []
    ok(state, "deployment", "delete", "mill", "--wait", "60")
    assert "******" in shown
    assert PASSWORD not in shown
    template = "insert into t(device) values (${device})"
    ok(state, "rule", "create", "warm", "--sql", SQL, "--resource", "db", "--template", template)
    sample = ["--payload", '{"device": "d", "temp": 21}', "--topic", "sensors/1"]
    assert json.loads(ok(state, "rule", "test", "--sql", SQL, *sample)) == {"device": "d"}
    changed = ok(state, "resource", "change", "db", "--name", "store", "--option", "pool_size=2", "--json")
    assert (json.loads(changed)["name"], json.loads(changed)["pool_size"]) == ("store", 2)
    assert json.loads(changed)["server"] == "127.0.0.1:5432"  # what is not named stays
    ok(state, "resource", "change", "store", "--name", "db")
    [_, row] = ok(state, "rule", "change", "warm", "--disable").split("\n", 1)
    found = json.loads(ok(state, "rule", "show", "warm", "--json"))
    assert "warm" in row and (found["enable"], found["sql"]) == (False, SQL)
    alarm = ["--action", '{"kind": "republish", "topic": "alarms"}']
    found = json.loads(ok(state, "rule", "change", "warm", "--enable", *alarm, "--json"))
    assert found["enable"] and [one["kind"] for one in found["actions"]] == ["republish"]
    ok(state, "rule", "change", "warm", "--resource", "db", "--template", template)
    refused = tieline(state, "resource", "delete", "db")
    assert refused.returncode == 1
    assert "used by rule warm" in refused.stderr
    ok(state, "rule", "delete", "warm")
    ok(state, "resource", "delete", "db")
    ok(
        state,
        "resource",
        "create",
        "hook",
        "--type",
        "http",
        "--server",
        "http://127.0.0.1:1/x",
        "--option",
        "pool_size=2",
    )
    action = '{"kind": "http", "resource": "hook", "path": "/${device}"}'
    made = json.loads(ok(state, "rule", "create", "told", "--sql", SQL, "--action", action, "--json"))
    assert made["actions"] == [json.loads(action)]
    ok(state, "resource", "delete", "hook", "--cascade")
    failed = tieline(state, "resource", "probe", "db", *options, "--password", PASSWORD)
    assert failed.returncode == 1
    assert "hop agent" in failed.stderr
    assert PASSWORD not in failed.stdout + failed.stderr
    ok(state, "deployment", "delete", "plant", "--wait", "60")
    assert json.loads(ok(state, "deployment", "list", "--json")) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["deployment", "show", "nobody"], ["no deployment 'nobody'", "hint:"]),
        (["deployment", "show", "../../metrics"], ["no id or name", "hint:"]),
        (["deployment", "create", "a b", "--external"], ["name"]),
        (["deployment", "create", "a", "--mqtt", "1883"], ["host:port"]),
        (["resource", "show", "db"], ["no deployment yet", "tieline deployment create"]),
    ],
)
def test_mistakes_are_explained(state: Path, arguments: list[str], words: list[str]) -> None:
    done = tieline(state, *arguments)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("environment", "word"),
    [
        ({}, "no API key"),
        ({"TIELINE_STATE": "/nowhere"}, "cannot read /nowhere/url"),
        ({"TIELINE_URL": "http://127.0.0.1:9", "TIELINE_API_KEY": "x"}, "does not answer"),
    ],
)
def test_a_platform_that_is_not_there(environment: dict[str, str], word: str) -> None:
    done = tieline(None, "deployment", "list", **environment)
    assert done.returncode == 1
    assert word in done.stderr
    assert "hint:" in done.stderr


def test_help_shows_nouns_and_verbs() -> None:
    shown = tieline(None, "--help").stdout
    for word in ("deployment", "link", "resource", "rule", "agent", "up", "down", "demo"):
        assert word in shown
    assert tieline(None, "nonsense").returncode == 2
