"""REST: what is said twice is refused, and so is JSON that two readers would read differently."""

from __future__ import annotations

import httpx
import pytest

from tieline.cloud.api.app import interface

BODIES = [
    b'{"name": "twice-a", "name": "twice-b"}',
    b'{"name": "twice", "role": "auditor", "role": "administrator"}',
    b'{"name": "twice", "ro\\u006ce": "auditor", "role": "administrator"}',
    b'{"name": "twice", "projects": ["a"], "projects": ["*"]}',
    '{"name": "twice"}'.encode("utf-16"),
    '{"name": "twice"}'.encode("utf-32"),
    '{"name": "twice"}'.encode("utf-16-le"),
    b'\xef\xbb\xbf{"name": "twice"}',
    b'{"name": "twice"',
    b'{"name": "twice"} {}',
    b'{"name": "twice",}',
    b"{'name': 'twice'}",
    b'{"name": "twice", "days": NaN}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", BODIES)
def test_a_body_means_one_thing_or_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/keys", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert "twice" not in [key["name"][:5] for key in http.get("/keys").json()["keys"]]


QUERIES = ["limit=1&limit=2", "limit=1&%6cimit=2", "cursor=&cursor=", "limit=1&cursor=a&limit=1"]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("path", ["deployments", "audit", "keys", "rules"])
def test_a_parameter_is_given_once(http: httpx.Client, path: str, query: str) -> None:
    answer = http.get(f"/{path}?{query}")
    assert answer.status_code == 422
    assert "more than once" in answer.text


def test_no_operation_takes_a_parameter_more_than_once() -> None:
    lists = [
        (path, parameter["name"])
        for path, methods in interface().openapi()["paths"].items()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query" and "array" in str(parameter["schema"])
    ]
    assert lists == []
