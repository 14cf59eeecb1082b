"""Deployments as a person types them: a broker of one's own that moves, a network that exists, policies to paste."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.test_nouns import ok, tieline
from platforms import PlatformProcess

PASSWORD = "s3cr3t-of-the-broker"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud") as running:
        yield running.state


def test_a_broker_of_ones_own_moves(state: Path) -> None:
    secret = {"TIELINE_BROKER_PASSWORD": PASSWORD}
    made = ok(state, "deployment", "create", "own", "--external", "--broker", "mqtt://writer@127.0.0.1", **secret)
    assert "join token, shown once: tlj_" in made
    told = ok(state, "deployment", "change", "own", "--broker", "mqtts://writer@127.0.0.1:8884", "--json", **secret)
    found = json.loads(told)
    assert (found["remote"]["port"], found["remote"]["tls"], found["mqtt"]["port"]) == (8884, True, 8884)
    assert PASSWORD not in made + told + ok(state, "audit", "--json")
    refused = tieline(state, "deployment", "change", "own", "--workers", "3")
    assert refused.returncode == 1
    assert "broker of its owner's" in refused.stderr
    ok(state, "deployment", "delete", "own", "--wait", "60")


@pytest.mark.parametrize("broker", ["127.0.0.1:1883", "https://127.0.0.1", "mqtt://u:p@127.0.0.1", "mqtt://h:x"])
def test_a_broker_that_cannot_be_is_refused(state: Path, broker: str) -> None:
    done = tieline(state, "deployment", "create", "bad", "--external", "--broker", broker)
    assert done.returncode == 1
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_network_in_an_account_that_is_not_open_to_us(state: Path) -> None:
    done = tieline(state, "deployment", "create", "far", "--vpc", "vpc-0123456789abcdef0")
    assert done.returncode == 1
    assert "AWS refused" in done.stderr
    assert "Traceback" not in done.stderr
    done = tieline(state, "deployment", "create", "far", "--vpc", "vpc-0123456789abcdef0", "--aws-profile", "other")
    assert "--aws-profile NAME" in done.stderr


def test_policies_are_ready_to_paste() -> None:
    both = json.loads(ok(Path("nowhere"), "aws", "policy"))
    assert both.keys() == {"platform", "provider"}
    one = json.loads(ok(Path("nowhere"), "aws", "policy", "--side", "provider", "--region", "eu-west-1"))
    assert one["Version"] == "2012-10-17"
    assert "eu-west-1" in json.dumps(one)


def test_alerts_are_sent_and_no_more(state: Path) -> None:
    secret = {"TIELINE_ALERT_SECRET": PASSWORD}
    made = ok(state, "alert", "create", "on-call", "--to", "https://alerts.example.com/tieline", "--json", **secret)
    assert (json.loads(made)["signed"], json.loads(made)["projects"]) == (True, ["*"])
    assert "on-call" in ok(state, "alert", "list")
    ok(state, "alert", "delete", "on-call")
    assert json.loads(ok(state, "alert", "list", "--json")) == []
    refused = tieline(state, "alert", "create", "inward", "--to", "http://169.254.169.254/latest")
    assert refused.returncode == 1
    assert "link-local" in refused.stderr
