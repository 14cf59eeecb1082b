"""Retention over REST, on a platform of its own: asked for, checked, written down, obeyed, and kept over a restart."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from platforms import PlatformProcess
from servers import free_port, wait_until

DEFAULT = {"audit_days": 0, "history_entries": 50, "metrics_minutes": 60, "traffic_minutes": 5}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud") as running:
        yield running


@pytest.fixture
def http(platform: PlatformProcess) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {platform.key}"}
    with httpx.Client(base_url=f"{platform.url}/api/v1", headers=headers, trust_env=False, timeout=60) as connected:
        yield connected
        connected.patch("/retention", json=dict.fromkeys(DEFAULT))


def test_a_change_is_told_and_survives_a_restart(http: httpx.Client, platform: PlatformProcess) -> None:
    assert http.get("/retention").json() == DEFAULT
    answer = http.patch("/retention", json={"audit_days": 365, "traffic_minutes": 20})
    assert (answer.status_code, answer.json()) == (200, {**DEFAULT, "audit_days": 365, "traffic_minutes": 20})
    [entry] = http.get("/audit", params={"kind": "retention", "limit": 2}).json()["entries"]
    assert (entry["who"], entry["operation"], entry["action"]) == ("admin", "retention_change", "changed")
    assert (entry["before"], entry["after"]) == (
        {"audit_days": 0, "traffic_minutes": 5},
        {"audit_days": 365, "traffic_minutes": 20},
    )
    platform.stop()
    platform.start()
    assert http.get("/retention").json() == answer.json()
    assert http.patch("/retention", json=dict.fromkeys(DEFAULT)).json() == DEFAULT
    [entry] = http.get("/audit", params={"kind": "retention", "limit": 1}).json()["entries"]
    assert (entry["before"], entry["after"]) == (
        {"audit_days": 365, "traffic_minutes": 20},
        {"audit_days": 0, "traffic_minutes": 5},
    )


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"audit_days": 7}, "audit_days: 30 days at least, or 0 for ever"),
        ({"history_entries": 0}, "history_entries"),
        ({"metrics_minutes": 100_000}, "metrics_minutes"),
        ({"traffic_minutes": "soon"}, "traffic_minutes"),
        ({"audit_years": 1}, "audit_years"),
    ],
)
def test_what_cannot_be_kept_so_long_changes_nothing(http: httpx.Client, wrong: dict[str, object], field: str) -> None:
    answer = http.patch("/retention", json={"history_entries": 9, **wrong})
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_REQUEST")
    assert field in answer.json()["message"]
    assert http.get("/retention").json() == DEFAULT


def test_the_second_of_two_editors_is_refused(http: httpx.Client) -> None:
    seen = http.get("/retention").headers["ETag"]
    first = http.patch("/retention", json={"history_entries": 20}, headers={"If-Match": seen})
    second = http.patch("/retention", json={"history_entries": 30}, headers={"If-Match": seen})
    assert (first.status_code, second.status_code, second.json()["code"]) == (200, 412, "CHANGED_MEANWHILE")
    assert first.headers["ETag"] == http.get("/retention").headers["ETag"] != seen


def test_only_who_is_for_all_projects_may_change_it(http: httpx.Client) -> None:
    key = http.post("/keys", json={"name": "of-a", "role": "administrator", "projects": ["a"]}).json()
    own = {"Authorization": f"Bearer {key['key']}"}
    assert http.get("/retention", headers=own).json() == DEFAULT
    refused = http.patch("/retention", json={"audit_days": 30}, headers=own)
    assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")
    assert "all projects" in refused.json()["hint"]
    assert http.get("/retention").json() == DEFAULT


def test_histories_become_shorter_at_once_and_agents_hear_of_their_part(http: httpx.Client) -> None:
    mqtt = {"host": "127.0.0.1", "port": free_port()}
    made = http.post("/deployments", json={"name": "plant", "provider": "external", "mqtt": mqtt}).json()
    path = f"/deployments/{made['id']}"
    for number in range(4):
        assert http.patch(path, json={"description": str(number)}).status_code == 200
    assert len(http.get(path).json()["history"]) >= 5
    before = http.get(path).json()["revision"]
    http.patch("/retention", json={"history_entries": 2})
    wait_until(lambda: len(http.get(path).json()["history"]) == 2, "a short history")
    assert "changed" in http.get(path).json()["history"][-1]["event"]
    assert http.get(path).json()["revision"] == before
    http.patch("/retention", json={"metrics_minutes": 120})
    assert http.get(path).json()["revision"] == before + 1
    answer = http.get(f"{path}/traffic", params={"seconds": 3600})
    assert answer.status_code == 200
    http.delete(path)
