"""Documents applied to a real platform: made, left alone, changed, pruned; and what is printed can be applied."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from platforms import PlatformProcess
from servers import free_port
from tieline.client.documents.reference import page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "documents.md"

TEXT = """
deployments:
  - name: plant
    provider: external
    mqtt: {host: 127.0.0.1, port: %d}
    resources:
      - name: db
        type: postgresql
        server: 127.0.0.1:5432
        database: app
        username: app
        password: {from_env: DB_PASSWORD}
    rules:
      - name: warm
        sql: SELECT payload.device as device FROM "sensors/#"
        actions: [{resource: db, sql: "insert into t(device) values (${device})"}]
"""
PASSWORD = "from-the-environment"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud") as running:
        yield running


def run(platform: PlatformProcess, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tieline", *arguments, "--state", str(platform.state)],
        input=text,
        env={**os.environ, "DB_PASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_file_is_applied_again_and_again(platform: PlatformProcess, tmp_path: Path) -> None:
    file = tmp_path / "links.yaml"
    file.write_text(TEXT % free_port())
    planned = run(platform, "apply", "-f", str(file), "--diff")
    assert planned.returncode == 2, planned.stderr
    assert planned.stdout.count("+ create") == 3
    assert platform.client.deployments() == []
    done = run(platform, "apply", "-f", str(file))
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert [rule.name for rule in platform.client.rules("plant")] == ["warm"]
    again = run(platform, "apply", "-f", str(file), "--diff")
    assert (again.returncode, again.stdout.strip()) == (0, "nothing is to be done")
    changed = yaml.safe_load(file.read_text())
    changed["deployments"][0]["resources"][0]["database"] = "other"
    changed["deployments"][0]["rules"] = []
    text = yaml.safe_dump(changed)
    done = run(platform, "apply", "-f", "-", "--prune", "--json", text=text)
    assert done.returncode == 0, done.stderr
    assert [(one["action"], one["section"]) for one in json.loads(done.stdout)] == [
        ("update", "resources"),
        ("delete", "rules"),
    ]
    assert platform.client.rules("plant") == []
    [resource] = platform.client.resources("plant")
    assert resource.model_dump()["database"] == "other"


def test_what_is_printed_can_be_applied(platform: PlatformProcess) -> None:
    printed = run(platform, "deployment", "list", "--json").stdout
    done = run(platform, "apply", "-f", "-", "--diff", text=printed)
    assert (done.returncode, done.stdout.strip()) == (0, "nothing is to be done"), done.stderr


def test_retention_is_applied_beside_deployments_and_as_it_is_printed(platform: PlatformProcess) -> None:
    before = [one.name for one in platform.client.deployments()]
    done = run(platform, "apply", "-f", "-", "--prune", text="retention: {audit_days: 90}")
    assert (done.returncode, platform.client.retention().audit_days) == (0, 90), done.stderr
    assert [one.name for one in platform.client.deployments()] == before
    printed = run(platform, "retention", "show", "--json").stdout
    again = run(platform, "apply", "-f", "-", "--diff", text=printed)
    assert (again.returncode, again.stdout.strip()) == (0, "nothing is to be done"), again.stderr


def test_the_schema_is_one_and_takes_the_document(platform: PlatformProcess) -> None:
    schema = json.loads(run(platform, "apply", "--schema").stdout)
    jsonschema_rs.meta.validate(schema)
    jsonschema_rs.validate(schema, yaml.safe_load(TEXT % 1883))
    assert not jsonschema_rs.is_valid(schema, {"deployments": [{"name": "a", "colour": "red"}]})
    broker = {"host": "h", "port": 1883, "password": {"from_env": "PW"}}
    assert jsonschema_rs.is_valid(schema, {"deployments": [{"name": "a", "provider": "external", "broker": broker}]})
    assert not jsonschema_rs.is_valid(schema, {"deployments": [{"name": "a", "workers": {"from_env": "N"}}]})


def test_the_page_is_up_to_date_and_its_example_is_a_document(platform: PlatformProcess) -> None:
    text = PAGE.read_text()
    assert text == page(), "run: python -m tieline.client.documents.reference > docs/documents.md"
    [example] = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    fresh = example.replace("name: plant", "name: fresh")
    planned = run(platform, "apply", "-f", "-", "--diff", text=fresh)
    assert planned.returncode == 2, planned.stderr
    assert planned.stdout.count("+ create") == 4
    schema = json.loads(run(platform, "apply", "--schema").stdout)
    jsonschema_rs.validate(schema, yaml.safe_load(example))


def test_mistakes_change_nothing(platform: PlatformProcess) -> None:
    before = len(platform.client.deployments())
    done = run(platform, "apply", "-f", "-", text="deployments: [{name: new, provider: external, colour: red}]")
    assert done.returncode == 1
    assert "deployments.0.colour" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(platform.client.deployments()) == before
