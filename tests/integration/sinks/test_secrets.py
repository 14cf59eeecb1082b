"""Secrets that a resource names by a variable of the agent's environment."""

from __future__ import annotations

from typing import Any

import pytest

from integration.sinks.trying import failing
from servers import free_port
from tieline.integration.config.shapes import RESOURCE_TYPES, PostgreSQL, Sql, Ssl
from tieline.integration.sinks import open_sink
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.base.secrets import PREFIX, resolved
from tieline.integration.sinks.redis.servers import Redis

FIELDS = RESOURCE_TYPES["postgresql"]


def database(**changes: object) -> PostgreSQL:
    known = {"id": "pg", "server": f"127.0.0.1:{free_port()}", "database": "d", "username": "u"}
    return PostgreSQL(**(known | changes))  # type: ignore[arg-type]


def test_variables_take_the_place_of_secrets_alone() -> None:
    wanted = database(
        password=f"${{env:{PREFIX}DB}}", username=f"${{env:{PREFIX}DB}}", ssl=Ssl(key=f"${{env:{PREFIX}KEY}}")
    )
    found = resolved(wanted, FIELDS, {f"{PREFIX}DB": "s3cret", f"{PREFIX}KEY": "PEM"})
    assert (found.password, found.ssl.key) == ("s3cret", "PEM")  # type: ignore[attr-defined]
    assert found.username == wanted.username  # type: ignore[attr-defined]


@pytest.mark.parametrize("plain", ["", "p", "${env:x", "a${env:TIELINE_SECRET_A}", "$env:A", "env:A"])
def test_what_is_no_reference_is_the_secret_itself(plain: str) -> None:
    wanted = database(password=plain)
    assert resolved(wanted, FIELDS, {}) == wanted


@pytest.mark.parametrize(("name", "said"), [("PATH", "may not be read"), (f"{PREFIX}ABSENT", "has no variable")])
async def test_a_variable_that_is_not_there_is_told_by_the_test_and_by_writes(name: str, said: str) -> None:
    wanted = database(password=f"${{env:{name}}}")
    sink = open_sink(wanted)
    action = Sql(id="a", resource="pg", sql="insert into t(a) values (${a})")
    with pytest.raises(Unavailable, match=said) as caught:
        await sink.writer(action).write([{"a": 1}])
    assert (caught.value.hop, bool(caught.value.hint)) == ("login", True)
    await sink.close()
    assert (await failing(wanted)).hop == "tcp"  # nobody listens there, and that comes first


def test_a_variable_may_be_for_some_servers_only() -> None:
    known = {"TIELINE_SECRET_DB": "s", "TIELINE_SECRET_DB_SERVERS": "db.example.com, 10.0.0.1:6379"}

    def password(servers: str, **more: Any) -> str:
        resource = Redis(id="r", servers=servers, password="${env:TIELINE_SECRET_DB}", **more)
        found = resolved(resource, RESOURCE_TYPES["redis"], known)
        assert isinstance(found, Redis)
        return found.password

    assert password("DB.example.com:1,10.0.0.1:6379") == "s"
    for servers, more in (
        ("10.0.0.1:6380", {}),
        ("db.example.com:1,evil.example.com:1", {}),
        ("10.0.0.1:6379", {"address_map": {"10.0.0.9:6379": "evil.example.com:1"}}),
    ):
        with pytest.raises(Unavailable) as caught:
            password(servers, **more)
        assert "TIELINE_SECRET_DB_SERVERS" in caught.value.hint
