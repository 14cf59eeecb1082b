"""Every REST operation with what is another project's, by a key of each role: as if it were not there.

The operations come from the interface's own description: so this grows with it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from servers import free_port
from tieline.cloud.api.app import PREFIX, interface
from tieline.cloud.guard.roles import PERMITTED, Role

DESCRIBED = {
    operation["operationId"]: (method, path, operation)
    for path, methods in interface().openapi()["paths"].items()
    for method, operation in methods.items()
}
WITHIN = sorted(name for name, (_, path, _) in DESCRIBED.items() if path.startswith(f"{PREFIX}/deployments/{{id}}"))
NOWHERE = "nobody"


@dataclass(frozen=True)
class Foreign:
    """A deployment of the project a with a resource and a rule, and what an administrator of all sees of everything."""

    http: httpx.Client
    ids: dict[str, str]
    names: dict[str, str]
    keys: dict[Role, str]

    def seen(self) -> list[Any]:
        paths = ["deployments", "private-links", "resources", "rules", "alerts"]
        within = f"deployments/{self.ids['id']}"
        paths += [f"{within}/{there}" for there in ("resources", "rules", "private-links")]
        shown = [self.http.get(f"/{path}").json() for path in paths]
        return [re.sub(r'"(uptime|since|at)": ?"[^"]*"', "", str(one)) for one in shown]


@pytest.fixture(scope="module")
def foreign(http: httpx.Client) -> Iterator[Foreign]:
    suffix = secrets.token_hex(4)
    names = {"id": f"dep-{suffix}", "resource": "db", "rule": "rows"}
    mqtt = {"host": "127.0.0.1", "port": free_port()}
    body = {"name": names["id"], "project": f"a-{suffix}", "provider": "external", "mqtt": mqtt}
    deployment = http.post("/deployments", json=body).json()
    here = f"/deployments/{deployment['id']}"
    resource = {"name": "db", "type": "http", "url": "http://192.0.2.1/", "verify": False}
    made = http.post(f"{here}/resources?test=false", json=resource)
    ids = {"id": deployment["id"], "resource": made.json().get("id", "resource-none"), "rule": "rule-none"}
    granted = {
        role: http.post("/keys", json={"name": f"{role}-{suffix}", "role": role, "projects": [f"b-{suffix}"]}).json()
        for role in Role
    }
    yield Foreign(http, ids, names, {role: one["key"] for role, one in granted.items()})
    for one in granted.values():
        http.delete(f"/keys/{one['id']}")
    http.delete(f"{here}?cascade=true")


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("operation", WITHIN)
def test_what_is_another_project_s_is_not_there(foreign: Foreign, operation: str, role: Role) -> None:
    method, path, described = DESCRIBED[operation]
    before, key = foreign.seen(), {"Authorization": f"Bearer {foreign.keys[role]}"}
    for known in (foreign.ids, foreign.names):
        told = {}
        for where, id in (("there", known["id"]), ("nowhere", NOWHERE)):
            asked = filled(path, known | {"id": id})
            answer = foreign.http.request(
                method, asked.removeprefix(PREFIX), headers=key, json=example(described), params={"cascade": "true"}
            )
            told[where] = answer.status_code, answer.text.replace(id, "ID")
        assert told["there"] == told["nowhere"]
        assert told["there"][0] in ((403,) if role not in PERMITTED[operation] else (404, 422)), told["there"]
    assert foreign.seen() == before


@pytest.mark.parametrize("role", Role)
def test_lists_of_all_leave_out_what_is_another_project_s(foreign: Foreign, role: Role) -> None:
    for path in ("deployments", "private-links", "resources", "rules"):
        answer = foreign.http.get(f"/{path}", headers={"Authorization": f"Bearer {foreign.keys[role]}"})
        assert answer.status_code == 200
        assert foreign.ids["id"] not in answer.text
        assert foreign.names["id"] not in answer.text


def filled(path: str, known: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], NOWHERE), path)


def example(described: dict[str, Any]) -> Any:
    """A body that the description gives as an example; an empty one where it gives none."""
    content = described.get("requestBody", {}).get("content", {}).get("application/json", {})
    for found in (content.get("example"), *(one.get("value") for one in content.get("examples", {}).values())):
        if found is not None:
            return found
    return {} if content else None
