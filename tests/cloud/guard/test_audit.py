"""The audit log: every change with who, what, before and after; secrets masked; in pages, and nothing can alter it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import httpx
import pytest

from tieline.cloud.schemas.answers import CreatedDeployment

SECRET = "s3cr3t-in-the-log"
RESOURCE = {
    "name": "db",
    "type": "postgresql",
    "server": "127.0.0.1:5432",
    "database": "app",
    "username": "app",
    "password": SECRET,
}


@pytest.fixture
def path(http: httpx.Client, deployment: CreatedDeployment) -> Iterator[str]:
    yield f"/deployments/{deployment.id}"


def test_a_change_is_told_with_before_and_after(http: httpx.Client, path: str, deployment: CreatedDeployment) -> None:
    made = http.post(f"{path}/resources", json=RESOURCE).json()
    http.patch(f"{path}/resources/db", json={"database": "other"})
    http.patch(f"{path}/resources/db", json={"password": SECRET + "2"})
    http.patch(f"{path}/resources/db", json={"database": "other"})  # changes nothing
    http.delete(f"{path}/resources/db")
    answer = http.get("/audit", params={"record": made["id"]})
    assert SECRET not in answer.text
    entries = answer.json()["entries"]
    assert [entry["action"] for entry in entries] == ["deleted", "changed", "changed", "created"]
    deleted, password, database, created = entries
    assert {(entry["who"], entry["means"], entry["source"]) for entry in entries} == {("admin", "key", "127.0.0.1")}
    assert {tuple(entry["projects"]) for entry in entries} == {("default",)}
    assert created["before"] is None
    assert created["after"]["secrets"] == "******"
    assert (database["before"]["options"]["database"], database["after"]["options"]["database"]) == ("app", "other")
    assert password["before"] == password["after"] == {"secrets": "******"}
    assert deleted["after"] is None
    assert database["operation"] == "resources_change"


def test_refusals_leave_no_entry(http: httpx.Client, path: str) -> None:
    newest = http.get("/audit", params={"limit": 1}).json()["entries"][0]["id"]
    assert http.post(f"{path}/resources", json={**RESOURCE, "type": "oracle"}).status_code == 422
    assert http.delete(f"{path}/resources/nothing").status_code == 404
    assert http.get("/audit", params={"limit": 1}).json()["entries"][0]["id"] == newest


def test_logins_are_told(http: httpx.Client) -> None:
    name = f"nobody-{secrets.token_hex(4)}"
    assert http.post("/session", json={"name": name, "password": SECRET}).status_code == 401
    answer = http.get("/audit", params={"who": name})
    assert [entry["action"] for entry in answer.json()["entries"]] == ["login refused: UNAUTHORIZED"]
    assert SECRET not in answer.text


def test_the_log_comes_in_pages(http: httpx.Client, path: str) -> None:
    for number in range(5):
        assert http.post(f"{path}/resources", json={**RESOURCE, "name": f"r{number}"}).status_code == 201
    wanted: dict[str, str | int] = {"kind": "resource", "limit": 2}
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None and len(seen) < 6:
        page = http.get("/audit", params={**wanted, "cursor": cursor}).json()
        seen += [entry["id"] for entry in page["entries"]]
        cursor = page["next_cursor"]
    assert seen == sorted(set(seen), reverse=True)
    whole = http.get("/audit", params={"kind": "resource", "limit": 6}).json()["entries"]
    assert seen[:6] == [entry["id"] for entry in whole]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_alters_the_log(http: httpx.Client, method: str) -> None:
    assert http.request(method, "/audit").status_code == 405
