"""Edits: nothing that another editor wrote is lost, what is left out stays, and a POST sent twice is done once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tieline.cloud.schemas.answers import CreatedDeployment

POSTGRESQL = {
    "name": "db",
    "type": "postgresql",
    "server": "127.0.0.1:5432",
    "database": "app",
    "username": "app",
    "password": "s3cr3t",
    "ssl": {"enable": True, "key": "s3cr3t-key"},
}
RULE = {
    "name": "warm",
    "sql": 'SELECT payload.device as device FROM "sensors/#"',
    "actions": [{"resource": "db", "sql": "insert into t(device) values (${device})"}],
}


@pytest.fixture
def path(http: httpx.Client, deployment: CreatedDeployment) -> str:
    """A deployment with a resource and a rule that uses it."""
    base = f"/deployments/{deployment.id}"
    assert http.post(f"{base}/resources", json=POSTGRESQL).status_code == 201
    assert http.post(f"{base}/rules", json=RULE).status_code == 201
    return base


@pytest.mark.parametrize(
    ("record", "first", "second"),
    [
        ("/resources/db", {"database": "one"}, {"database": "two"}),
        ("/rules/warm", {"enable": False}, {"name": "cold"}),
        ("", {"description": "one"}, {"description": "two"}),
    ],
)
def test_the_second_of_two_editors_gets_412(
    http: httpx.Client, path: str, record: str, first: dict[str, object], second: dict[str, object]
) -> None:
    tag = http.get(f"{path}{record}").headers["ETag"]
    assert http.get(f"{path}{record}").headers["ETag"] == tag
    done = http.patch(f"{path}{record}", json=first, headers={"If-Match": tag})
    assert done.status_code == 200, done.text
    assert done.headers["ETag"] != tag
    late = http.patch(f"{path}{record}", json=second, headers={"If-Match": tag})
    assert (late.status_code, late.json()["code"]) == (412, "CHANGED_MEANWHILE")
    now = http.get(f"{path}{record}").json()
    assert first.items() <= now.items()
    again = http.patch(f"{path}{record}", json=second, headers={"If-Match": done.headers["ETag"]})
    assert second.items() <= again.json().items()


def test_a_patch_keeps_what_it_leaves_out(http: httpx.Client, path: str) -> None:
    before = http.get(f"{path}/resources/db").json()
    again = {"password": "s3cr3t"}  # which goes with what the server has to prove
    ssl = {"verify": False, "key": "s3cr3t-key"}
    changed = http.patch(f"{path}/resources/db", json={"pool_size": 3, "ssl": ssl, **again}).json()
    assert changed == {**before, "pool_size": 3, "ssl": {"enable": True, "verify": False, "key": "******"}}
    ssl = {"verify": None, "key": "s3cr3t-key"}
    gone = http.patch(f"{path}/resources/db", json={"pool_size": None, "ssl": ssl, **again}).json()
    assert gone == before
    refused = http.patch(f"{path}/resources/db", json={"database": None})
    assert (refused.status_code, refused.json()["code"]) == (422, "INVALID_RESOURCE")
    assert http.get(f"{path}/resources/db").json() == before
    assert "s3cr3t" not in refused.text


def test_a_new_name_is_followed_by_the_rules(http: httpx.Client, path: str) -> None:
    answer = http.put(f"{path}/resources/db", json={**POSTGRESQL, "name": "orders", "password": "******"})
    assert answer.status_code == 200, answer.text
    rule = http.get(f"{path}/rules/warm").json()
    assert [action["resource"] for action in rule["actions"]] == ["orders"]
    assert http.get(f"{path}/resources/db").status_code == 404
    assert http.delete(f"{path}/resources/orders").status_code == 409


def test_names_stay_unique_and_types_fixed(http: httpx.Client, path: str) -> None:
    assert http.post(f"{path}/resources", json={**POSTGRESQL, "name": "two"}).status_code == 201
    assert http.patch(f"{path}/resources/db", json={"name": "two"}).json()["code"] == "ALREADY_EXISTS"
    assert http.post(f"{path}/rules", json={**RULE, "name": "two"}).status_code == 201
    assert http.patch(f"{path}/rules/warm", json={"name": "two"}).json()["code"] == "ALREADY_EXISTS"
    assert http.patch(f"{path}/resources/db", json={"type": "oracle"}).status_code == 422


def test_a_wrong_rule_changes_nothing(http: httpx.Client, path: str) -> None:
    before = http.get(f"{path}/rules/warm").json()
    for patch, status in (({"sql": "SELECT"}, 400), ({"actions": [{"resource": "x", "sql": "y"}]}, 422)):
        assert http.patch(f"{path}/rules/warm", json=patch).status_code == status
    assert http.get(f"{path}/rules/warm").json() == before


def test_a_rule_republishes_without_a_resource(http: httpx.Client, path: str) -> None:
    action = {"kind": "republish", "topic": "alarms/${device}", "payload": "${.}", "qos": 1}
    answer = http.post(f"{path}/rules", json={**RULE, "name": "alarm", "actions": [action]})
    assert answer.status_code == 201, answer.text
    assert action.items() <= answer.json()["actions"][0].items()
    wrong = http.post(f"{path}/rules", json={**RULE, "name": "x", "actions": [{**action, "topic": "${nothing}"}]})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "TEMPLATE_ERROR")


def test_lists_come_in_pages_without_gap_or_repetition(http: httpx.Client, path: str) -> None:
    names = {f"r{number}" for number in range(7)}
    for name in names:
        http.post(f"{path}/resources", json={**POSTGRESQL, "name": name})
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = http.get(f"{path}/resources", params={"limit": 3, "cursor": cursor}).json()
        assert len(page["resources"]) <= 3
        seen += [item["name"] for item in page["resources"]]
        cursor = page["next_cursor"]
    assert len(seen) == 8
    assert set(seen) == names | {"db"}
    for wrong in ({"limit": 0}, {"limit": 1001}, {"cursor": "§"}, {"cursor": "a"}):
        assert http.get(f"{path}/resources", params=wrong).status_code == 422


def test_a_post_sent_again_is_done_once(http: httpx.Client, path: str) -> None:
    key = {"Idempotency-Key": path}
    body = {**POSTGRESQL, "name": "once"}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: http.post(f"{path}/resources", json=body, headers=key), range(8)))
    done = [answer for answer in answers if answer.status_code == 201]
    assert done
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in done}) == 1
    again = http.post(f"{path}/resources", json=body, headers=key)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json() == done[0].json()
    other = http.post(f"{path}/resources", json={**body, "name": "two"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    stranger = http.post(f"{path}/resources", json=body, headers={**key, "Authorization": "Bearer tlk_wrong"})
    assert stranger.status_code == 401


def test_a_refusal_is_not_kept(http: httpx.Client, path: str) -> None:
    key = {"Idempotency-Key": f"{path}-refused"}
    assert http.post(f"{path}/rules", json=RULE, headers=key).status_code == 409
    assert http.delete(f"{path}/rules/warm").status_code == 204
    assert http.post(f"{path}/rules", json=RULE, headers=key).status_code == 201
