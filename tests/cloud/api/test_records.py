"""Records are created, read, used and deleted over REST; dependants hold on, and secrets stay inside."""

from __future__ import annotations

import re

import httpx

from platforms import PlatformProcess
from servers import wait_until
from tieline.cloud.schemas.answers import CreatedDeployment

SECRET = "s3cr3t-of-the-database"
KEY = "-----BEGIN PRIVATE KEY----- s3cr3t-key"
RESOURCE = {
    "name": "db",
    "type": "postgresql",
    "server": "127.0.0.1:5432",
    "database": "app",
    "username": "app",
    "password": SECRET,
    "ssl": {"enable": True, "key": KEY},
}
RULE = {
    "name": "warm",
    "sql": 'SELECT payload.device as device FROM "sensors/#" WHERE payload.temp > 20',
    "actions": [{"resource": "db", "sql": "insert into t(device) values (${device})"}],
}


def test_a_resource_is_shown_without_its_secrets(
    http: httpx.Client, deployment: CreatedDeployment, platform: PlatformProcess
) -> None:
    path = f"/deployments/{deployment.id}/resources"
    made = http.post(path, json=RESOURCE)
    assert made.status_code == 201
    assert made.json()["password"] == "******"
    assert made.json()["ssl"] == {"enable": True, "key": "******"}
    assert made.json()["database"] == "app"
    for answer in (made, http.get(path), http.get(f"{path}/db"), http.post(path, json=RESOURCE)):
        assert SECRET not in answer.text
        assert KEY not in answer.text
    assert SECRET.encode() not in (platform.state / "cloud.db").read_bytes()
    assert SECRET.encode() not in (platform.state / "cloud.db-wal").read_bytes()


def test_a_malformed_request_does_not_echo_its_secret(
    http: httpx.Client, deployment: CreatedDeployment, platform: PlatformProcess
) -> None:
    bodies = [{**RESOURCE, "name": "a b"}, {**RESOURCE, "database": [SECRET]}, {"password": SECRET}, [SECRET], SECRET]
    for body in bodies:
        answer = http.post(f"/deployments/{deployment.id}/resources", json=body)
        assert answer.status_code == 422
        assert SECRET not in answer.text
    assert SECRET not in platform.log()


def test_a_resource_in_use_stays(http: httpx.Client, deployment: CreatedDeployment) -> None:
    path = f"/deployments/{deployment.id}"
    assert http.post(f"{path}/resources", json=RESOURCE).status_code == 201
    rule = http.post(f"{path}/rules", json=RULE)
    assert rule.status_code == 201, rule.text
    refused = http.delete(f"{path}/resources/db")
    assert (refused.status_code, refused.json()["code"]) == (409, "IN_USE")
    assert refused.json()["dependants"] == [{"kind": "rule", "id": rule.json()["id"], "name": "warm"}]
    assert http.delete(f"{path}/rules/warm").status_code == 204
    assert http.delete(f"{path}/resources/db").status_code == 204
    assert http.get(f"{path}/resources/db").status_code == 404


def test_cascade_takes_the_rules_along(http: httpx.Client, deployment: CreatedDeployment) -> None:
    path = f"/deployments/{deployment.id}"
    http.post(f"{path}/resources", json=RESOURCE)
    http.post(f"{path}/rules", json=RULE)
    assert http.delete(f"{path}/resources/db?cascade=true").status_code == 204
    assert http.get(f"{path}/rules").json()["rules"] == []


def test_a_deployment_in_use_stays_and_cascade_deletes_it(http: httpx.Client) -> None:
    body = {"name": "full", "provider": "external", "mqtt": {"host": "127.0.0.1", "port": 1}}
    made = http.post("/deployments", json=body).json()
    http.post(f"/deployments/{made['id']}/resources", json=RESOURCE)
    refused = http.delete("/deployments/full")
    assert (refused.status_code, refused.json()["code"]) == (409, "IN_USE")
    assert http.delete("/deployments/full?cascade=true").status_code == 202
    wait_until(lambda: http.get("/deployments/full").status_code == 404, "the end of the deployment")


def test_a_rule_is_tried_on_a_sample(http: httpx.Client, deployment: CreatedDeployment) -> None:
    path = f"/deployments/{deployment.id}/rules/test"
    warm = {"topic": "sensors/1", "payload": {"device": "d", "temp": 21}}
    answer = http.post(path, json={"sql": RULE["sql"], "context": warm})
    assert (answer.status_code, answer.json()) == (200, {"result": {"device": "d"}})
    cold = {"topic": "sensors/1", "payload": {"device": "d", "temp": 19}}
    for context in (cold, {**warm, "topic": "elsewhere"}):
        answer = http.post(path, json={"sql": RULE["sql"], "context": context})
        assert (answer.status_code, answer.json()["code"]) == (412, "NOT_MATCH")


def test_a_test_without_an_agent_names_the_hop(http: httpx.Client, deployment: CreatedDeployment) -> None:
    answer = http.post(f"/deployments/{deployment.id}/resources/probe", json=RESOURCE)
    assert (answer.status_code, answer.json()["code"], answer.json()["hop"]) == (400, "TEST_FAILED", "agent")


def test_the_description_documents_every_error(http: httpx.Client, platform: PlatformProcess) -> None:
    described = http.get("/openapi.json").json()
    operations = [
        operation
        for path, methods in described["paths"].items()
        if path.startswith("/api/v1") and path != "/api/v1/schema/documents"  # for editors, and open to everybody
        for operation in methods.values()
    ]
    assert len(operations) >= 35
    for operation in operations:
        problem = operation["responses"]["401"]["content"]["application/json"]["schema"]
        assert problem == {"$ref": "#/components/schemas/Problem"}
    assert "HTTPValidationError" not in described["components"]["schemas"]


def test_health_and_metrics_are_open(platform: PlatformProcess, deployment: CreatedDeployment) -> None:
    assert httpx.get(f"{platform.url}/healthz", trust_env=False, verify=False, timeout=60).json() == {"status": "ok"}
    text = httpx.get(f"{platform.url}/metrics", trust_env=False, verify=False, timeout=60).text
    assert f'tieline_agent_connected{{deployment="{deployment.name}"}} 0' in text
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) .+|[a-z_]+(\{[^}]*\})? [-+.e0-9]+", line), line
    typed = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(typed) == len(set(typed))
    assert {line.partition("{")[0] for line in text.splitlines() if not line.startswith("#")} <= set(typed)
