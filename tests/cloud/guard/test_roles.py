"""Every operation of the REST interface, asked for by every role: the table decides, and nobody else."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from platforms import PlatformProcess
from tieline.cloud.guard.roles import PERMITTED, Role
from tieline.cloud.model.records import NAME_PATTERN

OPEN = {"session_login", "operations_documents"}


@pytest.fixture(scope="module")
def described(http: httpx.Client) -> dict[str, tuple[str, str]]:
    """Method and path by operation."""
    paths: dict[str, dict[str, Any]] = http.get("/openapi.json").json()["paths"]
    return {
        operation["operationId"]: (method, path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if path.startswith("/api/v1")
    }


def nowhere(path: str) -> str:
    """The path below /api/v1, with parameters that name nothing."""
    return re.sub(r"\{\w+\}", "nobody", path.removeprefix("/api/v1"))


@pytest.fixture(scope="module")
def keys(http: httpx.Client) -> Iterator[dict[Role, str]]:
    """A key of each role."""
    made = {role: http.post("/keys", json={"name": f"{role}-{secrets.token_hex(4)}", "role": role}) for role in Role}
    yield {role: answer.json()["key"] for role, answer in made.items()}
    for answer in made.values():
        http.delete(f"/keys/{answer.json()['id']}")


def test_the_table_names_every_operation_and_no_other(described: dict[str, tuple[str, str]]) -> None:
    assert described.keys() - OPEN == PERMITTED.keys()


def test_an_auditor_can_change_nothing(described: dict[str, tuple[str, str]]) -> None:
    own = {"session_password", "session_logout"}
    changing = {name for name, (method, _) in described.items() if method != "get"} - OPEN - own
    assert [name for name in changing if Role.AUDITOR in PERMITTED[name]] == []


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("operation", sorted(PERMITTED))
def test_a_role_may_do_what_the_table_says(
    http: httpx.Client,
    described: dict[str, tuple[str, str]],
    keys: dict[Role, str],
    operation: str,
    role: Role,
) -> None:
    """Asked about what does not exist: a right that is missing shows before anything else, and nothing changes."""
    method, path = described[operation]
    answer = http.request(method, nowhere(path), headers={"Authorization": f"Bearer {keys[role]}"})
    forbidden = answer.status_code == 403
    assert forbidden is (role not in PERMITTED[operation]), answer.text
    if forbidden:
        assert (answer.json()["code"], role in answer.json()["message"]) == ("FORBIDDEN", True)
    else:
        assert answer.status_code in {200, 204, 404, 409, 422, 502}, answer.text  # 502: no AWS credentials here


def test_an_unknown_key_gets_nowhere(platform: PlatformProcess, described: dict[str, tuple[str, str]]) -> None:
    with httpx.Client(base_url=f"{platform.url}/api/v1", trust_env=False, timeout=60) as stranger:
        for operation in PERMITTED:
            method, path = described[operation]
            assert stranger.request(method, nowhere(path)).status_code == 401, operation


def test_names_are_what_the_client_allows() -> None:
    assert all(re.fullmatch(NAME_PATTERN, operation) for operation in PERMITTED)
