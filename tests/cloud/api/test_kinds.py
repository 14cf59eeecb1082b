"""Kinds of resources over REST: their own names and parameters, addresses in every form, and what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from certificates import Authority
from cloud.api.test_errors import refused
from servers import free_port
from tieline.cloud.schemas.answers import CreatedDeployment
from tieline.integration.config.shapes import RESOURCE_TYPES
from tieline.integration.sinks import BY_TYPE

URL = "http://127.0.0.1:1/x"
SQL = 'SELECT payload.device as device, timestamp FROM "sensors/#"'


@pytest.fixture
def at(deployment: CreatedDeployment) -> Iterator[str]:
    yield f"/deployments/{deployment.id}"


@pytest.mark.parametrize("type", RESOURCE_TYPES)
def test_every_kind_can_be_recorded_shown_and_kept(http: httpx.Client, at: str, type: str) -> None:
    examples = {"server": "127.0.0.1:1", "servers": "127.0.0.1:1,127.0.0.1:2", "url": URL}
    kind = BY_TYPE[type].resource
    wanted: dict[str, Any] = {"name": "r", "type": type}
    wanted |= {field.name: "x1" for field in RESOURCE_TYPES[type] if field.required and "." not in field.name}
    wanted |= {field.name: "s3cret" for field in RESOURCE_TYPES[type] if field.secret and "." not in field.name}
    wanted[kind.ADDRESS] = examples[kind.FORM]
    made = http.post(f"{at}/resources", json=wanted)
    assert made.status_code == 201, made.json()
    shown = made.json()
    assert shown["server"] == examples[kind.FORM]
    assert "s3cret" not in made.text
    again = http.patch(f"{at}/resources/r", json={"connect_timeout": 3.5})
    assert (again.status_code, again.json()["connect_timeout"]) == (200, 3.5), again.json()
    kept = {name: value for name, value in again.json().items() if name in shown and name != "connect_timeout"}
    assert kept == {name: value for name, value in shown.items() if name != "connect_timeout"}


@pytest.mark.parametrize(
    ("type", "server"),
    [
        ("http", "127.0.0.1:80"),
        ("http", "ftp://127.0.0.1:80/"),
        ("http", "http://user@127.0.0.1:80/"),
        ("http", "http://127.0.0.1:80@evil.example/"),
        ("http", "http://127.0.0.1:80\\@evil.example/"),
        ("http", "http:///x"),
        ("mysql", "http://db:3306"),
        ("mysql", "a:1,b:2"),
        ("redis", "a:1,,b:2"),
        ("redis", "a:1,b"),
    ],
)
def test_addresses_in_another_form(http: httpx.Client, at: str, type: str, server: str) -> None:
    body = {"name": "r", "type": type, "server": server, "database": "d"}
    body = {name: value for name, value in body.items() if name != "database" or type == "mysql"}
    refused(http.post(f"{at}/resources", json=body), 422, "INVALID_SERVER")


@pytest.mark.parametrize(("type", "server"), [("http", "http://link:none:80/x"), ("redis", "a:1,link:none:2")])
def test_links_are_looked_up_in_every_form(http: httpx.Client, at: str, type: str, server: str) -> None:
    refused(http.post(f"{at}/resources", json={"name": "r", "type": type, "server": server}), 422, "UNKNOWN_LINK")


def test_actions_have_the_parameters_of_their_kind(http: httpx.Client, at: str) -> None:
    assert http.post(f"{at}/resources", json={"name": "hook", "type": "http", "url": URL}).status_code == 201
    assert http.post(f"{at}/resources", json={"name": "cache", "type": "redis", "servers": "127.0.0.1:1"}).is_success
    actions = [
        {"kind": "http", "resource": "hook", "path": "/d/${device}", "method": "put", "headers": {"x-d": "${device}"}},
        {"kind": "redis", "resource": "cache", "command_template": "SET d:${device} ${timestamp}"},
        {"kind": "redis", "resource": "cache", "command_template": ["SET", "d", "${timestamp}"], "batch_size": 5},
    ]
    made = http.post(f"{at}/rules", json={"name": "r", "sql": SQL, "actions": actions})
    assert (made.status_code, made.json().get("actions")) == (201, actions), made.json()


@pytest.mark.parametrize(
    ("action", "status", "code", "said"),
    [
        ({"kind": "sql", "sql": "select ${device}"}, 422, "INVALID_ACTION", "takes no action of kind sql"),
        ({"kind": "redis"}, 422, "INVALID_ACTION", "command_template"),
        ({"kind": "redis", "command_template": "SET ${absent} 1"}, 400, "TEMPLATE_ERROR", "absent"),
        ({"kind": "redis", "command_template": "${device} 1"}, 400, "TEMPLATE_ERROR", "device"),
        ({"kind": "redis", "command_template": "SET 'a"}, 400, "TEMPLATE_ERROR", "words"),
        ({"kind": "redis", "command_template": "SET a 1", "sql": "x"}, 422, "INVALID_ACTION", "sql"),
    ],
)
def test_actions_that_do_not_fit(
    http: httpx.Client, at: str, action: dict[str, Any], status: int, code: str, said: str
) -> None:
    assert http.post(f"{at}/resources", json={"name": "cache", "type": "redis", "servers": "127.0.0.1:1"}).is_success
    body = {"name": "r", "sql": SQL, "actions": [{"resource": "cache", **action}]}
    assert said in str(refused(http.post(f"{at}/rules", json=body), status, code)["message"])


def test_the_grammar_of_a_template_is_its_databases(http: httpx.Client, at: str) -> None:
    mysql = {"name": "my", "type": "mysql", "server": f"127.0.0.1:{free_port()}", "database": "d"}
    click = {"name": "ch", "type": "clickhouse", "url": URL, "database": "d", "password": "p"}
    for body in (mysql, click):
        assert http.post(f"{at}/resources", json=body).is_success
    for resource, sql, fits in (
        ("my", "insert into `t` values ('it\\'s', ${device}) # ?", True),
        ("my", "insert into `t` values (?, ${device})", False),
        ("my", "update t set a = ${device}", True),
        ("ch", "update t set a = ${device}", False),
        ("ch", "insert into T(deviceId) values ('${device}')", True),
    ):
        rule = {"name": "r", "sql": SQL, "actions": [{"resource": resource, "sql": sql}]}
        answer = http.put(f"{at}/rules/r", json=rule) if http.get(f"{at}/rules/r").is_success else None
        answer = answer or http.post(f"{at}/rules", json=rule)
        assert answer.is_success == fits, (sql, answer.json())
        if not fits:
            refused(answer, 400, "TEMPLATE_ERROR")


def test_a_client_key_is_kept_secret(http: httpx.Client, at: str) -> None:
    pair = Authority().sign("app")
    body = {"name": "h", "type": "http", "url": URL, "ssl": {"cert": pair.cert, "key": pair.key}}
    made = http.post(f"{at}/resources", json=body)
    assert made.is_success, made.json()
    assert made.json()["ssl"] == {"cert": pair.cert, "key": "******"}
