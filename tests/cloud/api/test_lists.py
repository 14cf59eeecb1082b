"""Lists over all deployments: in pages, nothing twice and nothing left out, and nothing of a foreign project."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from platforms import PlatformProcess
from servers import free_port
from tieline.client.rest import Client
from tieline.cloud.schemas.answers import Resources, Rules

EACH = 3  # resources and rules in each of the deployments
RESOURCE = {"type": "postgresql", "server": "127.0.0.1:5432", "database": "app", "username": "app", "password": "x"}


@dataclass(frozen=True)
class Projects:
    """Two deployments in the project `own`, one in a foreign one, and somebody who is for `own` alone."""

    inside: Client
    own: tuple[str, str]
    foreign: str


@pytest.fixture(scope="module")
def projects(platform: PlatformProcess, client: Client) -> Iterator[Projects]:
    mark = secrets.token_hex(4)
    ids = [
        _deployment(client, f"{name}-{mark}", f"{project}-{mark}") for name, project in zip("abc", "aab", strict=True)
    ]
    key = client.create_key(name=f"inside-{mark}", role="auditor", projects=[f"a-{mark}"])
    with Client(platform.url, key.key) as inside:
        yield Projects(inside, (ids[0], ids[1]), ids[2])
    client.revoke_key(key.id)
    for id in ids:
        client.delete_deployment(id, cascade=True)


def _deployment(client: Client, name: str, project: str) -> str:
    mqtt = {"host": "127.0.0.1", "port": free_port()}
    made = client.create_deployment(name=name, project=project, provider="external", mqtt=mqtt)
    for number in range(EACH):
        client.create_resource(made.id, name=f"r{number}", **RESOURCE)
        actions = [{"resource": f"r{number}", "sql": "insert into t(d) values (${d})"}]
        client.create_rule(made.id, name=f"w{number}", sql='SELECT payload.d as d FROM "s/#"', actions=actions)
    return made.id


def test_all_of_the_own_projects_and_nothing_else(projects: Projects, client: Client) -> None:
    for listed in (projects.inside.all_resources(), projects.inside.all_rules()):
        assert [item.id for item in listed] == sorted(item.id for item in listed)
        assert sorted(item.deployment for item in listed) == sorted(projects.own * EACH)
    each = [item for id in projects.own for item in client.resources(id)]
    assert sorted(projects.inside.all_resources(), key=lambda one: one.id) == sorted(each, key=lambda one: one.id)
    assert {item.deployment for item in client.all_rules()} >= {*projects.own, projects.foreign}


def test_pages_tell_everything_once(projects: Projects) -> None:
    whole = [item.id for item in projects.inside.all_rules()]
    seen: list[str] = []
    query = "?limit=4"
    for _ in range(len(whole)):
        page = projects.inside.ask(Rules, "GET", "rules", query=query)
        seen += [rule.id for rule in page.rules]
        if page.next_cursor is None:
            break
        query = f"?limit=4&cursor={page.next_cursor}"
    assert seen == whole
    assert len(whole) == EACH * 2


def test_secrets_are_masked_here_too(projects: Projects) -> None:
    found = projects.inside.ask(Resources, "GET", "resources")
    assert {resource.model_dump()["password"] for resource in found.resources} == {"******"}
