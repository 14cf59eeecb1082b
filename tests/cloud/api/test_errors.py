"""Every error has one shape, names what is wrong, and changes nothing."""

from __future__ import annotations

import httpx
import pytest

from platforms import PlatformProcess
from tieline.cloud.schemas.answers import CreatedDeployment

POSTGRESQL = {"name": "db", "type": "postgresql", "server": "127.0.0.1:5432", "database": "app", "username": "app"}
SQL = 'SELECT payload.device as device FROM "sensors/#"'


def names(http: httpx.Client) -> set[str]:
    """What the deployments that exist are called."""
    return {one["name"] for one in http.get("/deployments").json()["deployments"]}


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    """The body of an error answer of the one shape."""
    body: dict[str, object] = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert body["message"]
    assert isinstance(body["hint"], str)
    return body


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer tlk_wrong"}, {"Authorization": "Basic YTpi"}])
@pytest.mark.parametrize("path", ["/deployments", "/deployments/dep-1/rules", "/deployments/x/private-links/y"])
def test_without_a_key_nothing_is_told(platform: PlatformProcess, headers: dict[str, str], path: str) -> None:
    answer = httpx.get(f"{platform.url}/api/v1{path}", headers=headers, trust_env=False, verify=False, timeout=60)
    refused(answer, 401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"{", 422, "INVALID_REQUEST"), (b"", 422, "INVALID_REQUEST"), (b"\xff\x16W", 400, "BAD_REQUEST")],
)
def test_a_body_that_is_no_json(http: httpx.Client, body: bytes, status: int, code: str) -> None:
    answer = http.post("/deployments", content=body, headers={"Content-Type": "application/json"})
    assert refused(answer, status, code)["hint"]


def test_unknown_paths_and_methods(http: httpx.Client) -> None:
    refused(http.get("/nothing"), 404, "NOT_FOUND")
    refused(http.patch("/deployments"), 405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize("path", ["", "/private-links", "/resources/r", "/rules", "/private-link-offer"])
def test_an_unknown_deployment(http: httpx.Client, path: str) -> None:
    assert "'nobody'" in str(refused(http.get(f"/deployments/nobody{path}"), 404, "NOT_FOUND")["message"])


@pytest.mark.parametrize("name", ["", "-a", "a b", "a;rm -rf /", "a/b", "ä", "a" * 255, "$(id)", "a\n"])
def test_names_without_tricks(http: httpx.Client, name: str) -> None:
    before = names(http)
    refused(http.post("/deployments", json={"name": name, "provider": "external"}), 422, "INVALID_REQUEST")
    assert names(http) <= before  # what earlier tests deleted may go meanwhile


def test_a_name_is_taken_once(http: httpx.Client, deployment: CreatedDeployment) -> None:
    body = {"name": deployment.name, "provider": "external"}
    refused(http.post("/deployments", json=body), 409, "ALREADY_EXISTS")


def test_a_platform_without_credentials_says_so_and_nothing_is_recorded(http: httpx.Client) -> None:
    before = names(http)
    assert "--credentials" in str(
        refused(http.post("/deployments", json={"name": "cloudy"}), 502, "CREDENTIALS")["hint"]
    )
    assert names(http) <= before  # what earlier tests deleted may go meanwhile


@pytest.mark.parametrize("cidr", ["10.0.0.0/8", "10.0.0.0/28", "10.0.0.1/16", "::/64", "words"])
def test_networks_that_aws_would_refuse(http: httpx.Client, cidr: str) -> None:
    refused(http.post("/deployments", json={"name": "wide", "cidr": cidr}), 422, "INVALID_CIDR")


def test_links_need_a_network_of_the_platform(http: httpx.Client, deployment: CreatedDeployment) -> None:
    body = {"name": "l", "service_name": "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"}
    refused(http.post(f"/deployments/{deployment.id}/private-links", json=body), 409, "EXTERNAL_DEPLOYMENT")
    refused(http.get(f"/deployments/{deployment.id}/private-link-offer"), 409, "EXTERNAL_DEPLOYMENT")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"type": "oracle"}, "UNKNOWN_TYPE"),
        ({"server": "db"}, "INVALID_SERVER"),
        ({"server": "db:0"}, "INVALID_SERVER"),
        ({"server": "db:65536"}, "INVALID_SERVER"),
        ({"server": "http://db:80"}, "INVALID_SERVER"),
        ({"server": "link:nowhere:5432"}, "UNKNOWN_LINK"),
        ({"colour": "red"}, "INVALID_RESOURCE"),
        ({"database": 5}, "INVALID_RESOURCE"),
        ({"password": 5}, "INVALID_RESOURCE"),
    ],
)
def test_resources_that_do_not_fit(
    http: httpx.Client, deployment: CreatedDeployment, change: dict[str, object], code: str
) -> None:
    path = f"/deployments/{deployment.id}/resources"
    refused(http.post(path, json={**POSTGRESQL, **change}), 422, code)
    refused(http.post(f"{path}/probe", json={**POSTGRESQL, **change}), 422, code)
    assert http.get(path).json()["resources"] == []


def test_a_rule_that_does_not_parse_names_the_place(http: httpx.Client, deployment: CreatedDeployment) -> None:
    path = f"/deployments/{deployment.id}/rules"
    for answer in (
        http.post(path, json={"name": "r", "sql": "SELECT *\nFORM x"}),
        http.post(f"{path}/test", json={"sql": "SELECT *\nFORM x"}),
    ):
        body = refused(answer, 400, "RULE_ERROR")
        assert (body["line"], body["column"]) == (2, 1)
        assert body["expected"]
    assert http.get(path).json()["rules"] == []


@pytest.mark.parametrize(
    ("action", "status", "code"),
    [
        ({"resource": "nobody", "sql": "insert into t values (${device})"}, 422, "UNKNOWN_RESOURCE"),
        ({"resource": "db", "sql": "insert into t values (${temp})"}, 400, "TEMPLATE_ERROR"),
        ({"resource": "db", "sql": "insert into t values (${device)"}, 400, "TEMPLATE_ERROR"),
        ({"resource": "db"}, 422, "INVALID_ACTION"),
        ({"sql": "insert into t values (${device})"}, 422, "UNKNOWN_RESOURCE"),
        ({"resource": "db", "sql": "x", "colour": "red"}, 422, "INVALID_ACTION"),
        ({"kind": "burn", "resource": "db"}, 422, "INVALID_ACTION"),
    ],
)
def test_actions_that_do_not_fit(
    http: httpx.Client, deployment: CreatedDeployment, action: dict[str, str], status: int, code: str
) -> None:
    path = f"/deployments/{deployment.id}"
    assert http.post(f"{path}/resources", json=POSTGRESQL).status_code == 201
    refused(http.post(f"{path}/rules", json={"name": "r", "sql": SQL, "actions": [action]}), status, code)
    assert http.get(f"{path}/rules").json()["rules"] == []


@pytest.mark.parametrize(
    ("place", "status", "code"),
    [
        ("link:nowhere:19092", 422, "UNKNOWN_LINK"),
        ("169.254.169.254:80", 403, "FORBIDDEN_ADDRESS"),
        ("http://10.0.0.1:80", 422, "INVALID_SERVER"),
        ({"host": "10.0.0.1"}, 422, "INVALID_RESOURCE"),
    ],
)
def test_an_address_map_is_held_to_what_servers_are(
    http: httpx.Client, deployment: CreatedDeployment, place: object, status: int, code: str
) -> None:
    body = {"name": "log", "type": "kafka", "server": "10.9.0.1:9092", "address_map": {"10.0.1.10:9092": place}}
    answer = http.post(f"/deployments/{deployment.id}/resources", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
