"""What is given counts, also where it is empty, no or nothing: only what was not given is left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.test_nouns import ok, tieline
from platforms import PlatformProcess
from servers import free_port

SERVER = ["--server", "127.0.0.1:5432", "--database", "app"]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud") as running:
        mqtt = {"host": "127.0.0.1", "port": free_port()}
        running.client.create_deployment(name="plant", provider="external", mqtt=mqtt)
        yield running.state


def test_a_field_of_a_resource_can_be_empty_or_no(state: Path) -> None:
    options = ["--username", "", "--option", 'ssl={"enable": true, "verify": false}', "--option", "password="]
    made = json.loads(ok(state, "resource", "create", "db", *SERVER, *options, "--json"))
    assert (made["username"], made["password"], made["ssl"]) == ("", "", {"enable": True, "verify": False})


def test_what_is_not_given_is_left_out(state: Path) -> None:
    missing = tieline(state, "resource", "create", "other", *SERVER)
    assert (missing.returncode, "username" in missing.stderr) == (1, True)
    made = json.loads(
        ok(state, "resource", "create", "hook", "--type", "http", "--server", "http://127.0.0.1:1/", "--json")
    )
    assert made.keys().isdisjoint({"database", "username"})


@pytest.mark.parametrize(
    ("option", "word"),
    [("--name", "name"), ("--mqtts", "host:port"), ("--websocket", "host:port"), ("--broker", "mqtt")],
)
def test_nothing_is_refused_where_it_cannot_be(state: Path, option: str, word: str) -> None:
    before = ok(state, "deployment", "show", "plant", "--json")
    done = tieline(state, "deployment", "change", "plant", option, "", "--workers", "2")
    assert (done.returncode, word in done.stderr) == (1, True), done.stderr
    done = tieline(state, "deployment", "change", "plant", "--workers", "0")
    assert (done.returncode, "workers" in done.stderr) == (1, True), done.stderr
    assert ok(state, "deployment", "show", "plant", "--json") == before
