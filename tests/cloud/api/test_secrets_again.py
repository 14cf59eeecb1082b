"""A stored secret is told to the server that it was given for: any change of that needs the secret again."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tieline.cloud.schemas.answers import CreatedDeployment

SECRET = "s3cr3t"
POSTGRESQL = {"type": "postgresql", "server": "127.0.0.1:5432", "database": "app", "username": "app"}
REDIS = {"type": "redis", "server": "127.0.0.1:6379", "sentinel_password": SECRET}
KAFKA = {"type": "kafka", "server": "127.0.0.1:9092", "mechanism": "scram_sha_256", "username": "u"}
S3 = {"type": "s3", "server": "https://s3.eu-central-1.amazonaws.com", "aws_access_key_id": "A"}
HTTP = {"type": "http", "server": "https://example.com/x", "authorization": SECRET}
MASK = "******"


def stored(http: httpx.Client, deployment: CreatedDeployment, body: dict[str, Any]) -> str:
    path = f"/deployments/{deployment.id}/resources"
    secret = {"s3": "aws_secret_access_key"}.get(body["type"], "password")
    made = http.post(path, json={"name": "one", secret: SECRET, **body})
    assert made.status_code == 201, made.text
    return path


def required(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (422, "SECRET_REQUIRED"), answer.text
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("body", "change"),
    [
        (POSTGRESQL, {"server": "127.0.0.2:5432"}),
        (POSTGRESQL, {"server": "127.0.0.1:5433"}),
        (POSTGRESQL, {"ssl": {"enable": True}}),
        (POSTGRESQL, {"ssl": {"verify": False}}),
        (POSTGRESQL, {"ssl": {"cacert": "x"}}),
        (POSTGRESQL, {"ssl": {"server_name": "elsewhere"}}),
        (REDIS, {"redis_type": "sentinel"}),
        (REDIS, {"sentinel": "other"}),
        (REDIS, {"address_map": {"10.0.0.1:6379": "127.0.0.2:6379"}}),
        (KAFKA, {"server": "127.0.0.1:9092,127.0.0.2:9092"}),
        (KAFKA, {"mechanism": "plain"}),
        (KAFKA, {"address_map": {"10.0.0.1:9092": "127.0.0.2:9092"}}),
        (S3, {"server": "https://127.0.0.2"}),
        (HTTP, {"server": "http://example.com/x"}),
        (HTTP, {"url": "https://example.org/x"}),
    ],
)
def test_a_secret_is_not_told_to_somebody_else(
    http: httpx.Client, deployment: CreatedDeployment, body: dict[str, Any], change: dict[str, Any]
) -> None:
    path = stored(http, deployment, body)
    before = http.get(f"{path}/one").json()
    required(http.patch(f"{path}/one", json=change))
    shown = {name: before[name] for name in before if name not in ("id", "deployment", "created", "status", "reason")}
    shown = {name: value for name, value in shown.items() if name not in ("hint", "hop", "cause", "version")}
    renamed = {name: value for name, value in shown.items() if name != "server" or "url" not in change}
    required(http.put(f"{path}/one", json={**renamed, **change}))
    required(http.post(f"{path}/probe", json={**renamed, **change}))
    assert http.get(f"{path}/one").json() == before


def test_a_secret_stays_with_what_changes_nobody(http: httpx.Client, deployment: CreatedDeployment) -> None:
    path = stored(http, deployment, POSTGRESQL)
    same = {"pool_size": 3, "database": "other", "name": "two", "ssl": {"enable": False}, "server": "127.0.0.1:5432"}
    answer = http.patch(f"{path}/one", json=same)
    assert (answer.status_code, answer.json()["password"]) == (200, MASK)
    moved = http.patch(f"{path}/two", json={"server": "127.0.0.2:5432", "password": "another"})
    assert (moved.status_code, moved.json()["server"]) == (200, "127.0.0.2:5432")
    without = http.put(f"{path}/two", json={**POSTGRESQL, "name": "two", "server": "127.0.0.3:5432"})
    assert without.status_code == 200
    assert "password" not in without.json()


def test_another_type_of_the_same_name_gets_no_secret(http: httpx.Client, deployment: CreatedDeployment) -> None:
    path = stored(http, deployment, POSTGRESQL)
    other = {"name": "one", "type": "mysql", "server": "127.0.0.1:5432", "database": "app", "password": MASK}
    required(http.post(f"{path}/probe", json=other))


def test_a_mask_for_nothing_is_no_secret(http: httpx.Client, deployment: CreatedDeployment) -> None:
    path = f"/deployments/{deployment.id}/resources"
    required(http.post(path, json={"name": "one", "password": MASK, **POSTGRESQL}))
    assert http.get(path).json()["resources"] == []
    broker = {"host": "127.0.0.1", "port": 1883, "username": "u", "password": MASK}
    required(http.post("/deployments", json={"name": "theirs", "provider": "external", "broker": broker}))
