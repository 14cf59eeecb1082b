"""A private link as a person changes it by typing: what is named changes, also to nothing; what is not named stays."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.test_nouns import ok, tieline
from platforms import PlatformProcess
from tieline.cloud.api.server import STORE
from tieline.cloud.model.records import LinkStatus, PrivateLink, Reason
from tieline.cloud.store.repository import Repository
from tieline.store import SQLiteStore

SERVICE = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A platform with a link that failed, as an earlier run left it: without AWS none can be made."""
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud") as running:
        made = running.client.create_deployment(
            name="plant", provider="external", mqtt={"host": "127.0.0.1", "port": 1}
        )
        running.stop()
        records = Repository(SQLiteStore(running.state / STORE))
        link = PrivateLink(
            id="pl-1",
            deployment=made.id,
            name="orders",
            service_name=SERVICE,
            status=LinkStatus.FAILED,
            reason=Reason.REJECTED,
            created=made.created,
        )
        records.commit(write=[link])
        records.close()
        running.start()
        yield running.state


def changed(state: Path, *options: str) -> dict[str, object]:
    link: dict[str, object] = json.loads(ok(state, "link", "change", "orders", *options, "--json"))
    return {name: link[name] for name in ("name", "ports", "server_name")}


def test_what_is_named_changes_and_the_rest_stays(state: Path) -> None:
    first = changed(state, "--server-name", "db.internal", "--port", "5432", "--port", "5433")
    assert first == {"name": "orders", "ports": [5432, 5433], "server_name": "db.internal"}
    assert changed(state, "--port", "5432") == first | {"ports": [5432]}
    assert changed(state, "--server-name", "") == first | {"ports": [5432], "server_name": ""}


def test_a_name_cannot_be_nothing(state: Path) -> None:
    done = tieline(state, "link", "change", "orders", "--name", "")
    assert done.returncode == 1
    assert "name" in done.stderr


def test_who_changed_it_last_is_told(state: Path) -> None:
    changed(state, "--server-name", "other.internal")
    last = json.loads(ok(state, "link", "show", "orders", "--json"))["health"]["changed"]
    assert (last["who"], last["operation"], last["after"]) == (
        "admin",
        "private_links_change",
        {"server_name": "other.internal"},
    )
    assert "changed   " in ok(state, "link", "show", "orders")
