"""Users, keys and the audit log as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from platforms import PlatformProcess

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud") as running:
        yield running.state


def tieline(state: Path, *arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    known = {**os.environ, "TIELINE_STATE": str(state), "COLUMNS": "200", **environment}
    command = [sys.executable, "-m", "tieline", *arguments]
    return subprocess.run(command, env=known, input=typed, capture_output=True, text=True, check=False)


def test_people_and_keys(state: Path) -> None:
    made = tieline(state, "user", "create", "ada", "--role", "auditor", "--password", "-", typed=PASSWORD + "\n")
    assert made.returncode == 0, made.stderr
    assert PASSWORD not in made.stdout
    key = json.loads(tieline(state, "key", "create", "ci", "--role", "auditor", "--json").stdout)
    as_auditor = {"TIELINE_API_KEY": key["key"]}
    assert tieline(state, "deployment", "list", **as_auditor).returncode == 0
    refused = tieline(state, "deployment", "create", "d", "--external", **as_auditor)
    assert refused.returncode == 1
    assert "auditor" in refused.stderr
    assert "operator" in tieline(state, "user", "change", "ada", "--role", "operator").stdout
    assert "ada" in tieline(state, "user", "list").stdout
    entries = json.loads(tieline(state, "audit", "--who", "admin", "--json").stdout)
    assert [(entry["action"], entry["name"]) for entry in entries] == [
        ("changed", "ada"),
        ("created", "ci"),
        ("created", "ada"),
    ]
    assert key["key"] not in json.dumps(entries)
    assert tieline(state, "key", "revoke", "ci").returncode == 0
    assert "not known" in tieline(state, "deployment", "list", **as_auditor).stderr
    assert tieline(state, "user", "delete", "ada").returncode == 0


def test_mqtt_users_and_the_deployment_they_are_of(state: Path) -> None:
    assert tieline(state, "deployment", "create", "plant", "--external", "--mqtt", "127.0.0.1:1").returncode == 0
    rules = ["--rule", "deny:subscribe:own/secret", "--rule", "allow:all:own/#"]
    made = tieline(state, "mqtt-user", "create", "pump", *rules, "--password", "-", typed=PASSWORD + "\n")
    assert made.returncode == 0, made.stderr
    assert PASSWORD not in made.stdout
    shown = json.loads(tieline(state, "mqtt-user", "list", "--json").stdout)
    assert [rule["permission"] for rule in shown[0]["rules"]] == ["deny", "allow"]
    wrong = tieline(state, "mqtt-user", "change", "pump", "--rule", "everything")
    assert (wrong.returncode, "allow:publish:sensors/#" in wrong.stderr) == (1, True)
    assert tieline(state, "mqtt-user", "delete", "pump").returncode == 0
    assert tieline(state, "deployment", "change", "plant", "--mqtts", "127.0.0.1:2").returncode == 0
    assert tieline(state, "deployment", "certificate", "plant").stdout.startswith("-----BEGIN CERTIFICATE-----\n")
    assert json.loads(tieline(state, "deployment", "stop", "plant", "--json").stdout)["wanted"] == "stopped"
    assert tieline(state, "deployment", "delete", "plant").returncode == 0


def test_retention(state: Path) -> None:
    shown = tieline(state, "retention", "change", "--audit-days", "400", "--history-entries", "9")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.split() == [
        *("audit_days", "400", "history_entries", "9", "metrics_minutes", "60", "traffic_minutes", "5")
    ]
    refused = tieline(state, "retention", "change", "--audit-days", "3")
    assert (refused.returncode, "30 days at least" in refused.stderr) == (1, True)
    assert json.loads(tieline(state, "retention", "show", "--json").stdout)["audit_days"] == 400
