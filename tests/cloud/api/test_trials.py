"""Rules of users run beside the platform: what they take is bounded, and nothing of it reaches others."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
import pytest

from platforms import PlatformProcess
from tieline.cloud.rules.trials import AT_ONCE
from tieline.cloud.schemas.answers import CreatedDeployment


def tried(http: httpx.Client, deployment: CreatedDeployment, sql: str, context: dict[str, Any]) -> httpx.Response:
    return http.post(f"/deployments/{deployment.id}/rules/test", json={"sql": sql, "context": context})


def doubling(times: int) -> str:
    columns = ["concat(payload.a, payload.a) as a0"]
    columns += [f"concat(a{number}, a{number}) as a{number + 1}" for number in range(times)]
    return f'SELECT {", ".join(columns)} FROM "t"'


LOOPING = 'FOREACH [1..9999] DO contains(item, payload.l) as x FROM "t"'
LONG = {"payload": {"a": "x" * 64, "l": ["x"] * 100_000}}  # ten thousand times a hundred thousand comparisons


def test_a_rule_that_takes_too_much_memory_fails(http: httpx.Client, deployment: CreatedDeployment) -> None:
    answer = tried(http, deployment, doubling(27), LONG)
    assert (answer.status_code, answer.json()["code"]) == (400, "RULE_FAILED"), answer.text


def test_rules_that_compute_without_end_are_ended_and_nobody_else_waits(
    platform: PlatformProcess, http: httpx.Client, deployment: CreatedDeployment
) -> None:
    answers: list[httpx.Response] = []
    asking = [
        threading.Thread(target=lambda: answers.append(tried(http, deployment, LOOPING, LONG))) for _ in range(AT_ONCE)
    ]
    rule = {"name": "first", "sql": 'SELECT * FROM "t"'}
    assert http.post(f"/deployments/{deployment.id}/rules", json=rule).status_code == 201
    for one in asking:
        one.start()
    began = time.monotonic()
    assert http.get("/deployments").status_code == 200
    made = http.post(f"/deployments/{deployment.id}/rules", json={"name": "quick", "sql": 'SELECT * FROM "t"'})
    assert made.status_code == 201
    took = time.monotonic() - began
    assert any(one.is_alive() for one in asking), f"they were to compute for longer than {took:.1f} s"
    for one in asking:
        one.join()
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (400, "RULE_FAILED"), answer.text
        assert "computed for longer than 2 s" in answer.json()["message"]
    assert tried(http, deployment, 'SELECT topic FROM "t"', {"topic": "t"}).json() == {"result": {"topic": "t"}}
    assert platform.alive()


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


SAMPLES: list[tuple[str, dict[str, Any]]] = [
    ('SELECT payload.n as n FROM "t"', {"payload": {"n": 2**80}}),
    ('SELECT payload.n as n FROM "t"', {"payload": json.dumps({"n": 2**80})}),
    ('SELECT payload.n as n FROM "t"', {"payload": '{"n": 1e999}'}),
    ('SELECT payload.n as n FROM "t"', {"payload": {"n": deep(90)}}),
    ('SELECT payload as n FROM "t"', {"payload": deep(95)}),
    ('SELECT json_decode(payload) as n FROM "t"', {"payload": json.dumps(deep(900))}),
    ('SELECT payload.n as n FROM "t"', {"payload": "[" * 2000 + "]" * 2000}),
    ('SELECT * FROM "t"', {"event": []}),
    ('SELECT * FROM "t"', {"event": {}, "event_type": 1}),
    ('SELECT * FROM "t"', {"topic": 1, "qos": "x", "timestamp": [], "flags": 1, "id": None}),
    ('SELECT flags.retain as r FROM "$events/client_connected"', {"event": "client.connected", "clientid": deep(80)}),
    ('SELECT * FROM "t"', {"payload": None, "pub_props": 2**70}),
    ('SELECT bitsl(1, 4000) as n FROM "t"', {}),
    ('SELECT float("1e308") * 10 as n FROM "t"', {}),
    ('SELECT gzip(payload) as a FROM "t"', {"payload": "x"}),
    ('FOREACH payload DO gzip(item) as a FROM "t"', {"payload": ["x", "\u0000"]}),
]


@pytest.mark.parametrize(("sql", "context"), SAMPLES)
def test_no_sample_is_the_platforms_own_fault(
    http: httpx.Client, deployment: CreatedDeployment, sql: str, context: dict[str, Any]
) -> None:
    answer = tried(http, deployment, sql, context)
    assert answer.status_code in (200, 400, 412, 422), answer.text
    assert answer.status_code == 200 or answer.json()["message"]


def test_bytes_and_numbers_are_shown_as_they_are(http: httpx.Client, deployment: CreatedDeployment) -> None:
    sql = 'SELECT hexstr2bin(payload.h) as h, payload.n as n, [hexstr2bin(payload.h)] as l FROM "t"'
    answer = tried(http, deployment, sql, {"payload": {"h": "0001ff", "n": 2**62}})
    assert answer.json() == {"result": {"h": {"$base64": "AAH/"}, "n": 2**62, "l": [{"$base64": "AAH/"}]}}


def test_a_recorded_rule_names_the_action_that_cannot_send_what_it_gives(
    http: httpx.Client, deployment: CreatedDeployment
) -> None:
    rule = {
        "name": "raw",
        "sql": "SELECT hexstr2bin('00ff') as h, topic FROM \"t\"",
        "actions": [{"kind": "republish", "topic": "x", "payload": payload} for payload in ("${topic}", "${.}")],
    }
    assert http.post(f"/deployments/{deployment.id}/rules", json=rule).status_code == 201
    answer = http.post(f"/deployments/{deployment.id}/rules/raw/test", json={"context": {"topic": "t"}})
    assert answer.status_code == 400
    assert "actions[1]: bytes that are no UTF-8" in answer.json()["message"]


def test_a_rule_that_is_tried_keeps_nothing_for_others(http: httpx.Client, deployment: CreatedDeployment) -> None:
    kept = "SELECT kv_store_put('secret', payload) as k FROM \"t\""
    for _ in range(3):
        assert tried(http, deployment, kept, {"payload": "mine"}).json() == {"result": {"k": "mine"}}
        answer = tried(http, deployment, "SELECT kv_store_get('secret', 'nothing') as k FROM \"t\"", {})
        assert answer.json() == {"result": {"k": "nothing"}}


def test_more_than_can_be_shown_is_said(http: httpx.Client, deployment: CreatedDeployment) -> None:
    answer = tried(http, deployment, 'FOREACH [1..9999] FROM "t"', {"payload": "x" * 10_000})
    assert (answer.status_code, "too much to show" in answer.json()["message"]) == (400, True)


@pytest.mark.parametrize(
    "body",
    ["[" * 5000 + "]" * 5000, '{"sql": "x", "context": ' + '{"a":' * 400 + "1" + "}" * 401, '{"name": "\\ud800"}'],
)
@pytest.mark.parametrize("path", ["rules", "rules/test", "resources", "resources/probe", "private-links", "mqtt-users"])
def test_no_body_is_the_platforms_own_fault(
    http: httpx.Client, deployment: CreatedDeployment, path: str, body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = http.post(f"/deployments/{deployment.id}/{path}", content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text
