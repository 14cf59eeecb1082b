"""`Test` against real servers and real silence: each hop that can fail, and what is said of it."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any

import pytest

from integration.world import flow
from servers import PostgreSQL, free_port
from tieline.integration.config.shapes import Sql, Ssl
from tieline.integration.worker.probe import ProbeFailed, probe

pytestmark = pytest.mark.world


def action(sql: str) -> Sql:
    return Sql(id="a", resource="pg", sql=sql)


async def failing(server: PostgreSQL, /, *actions: Sql, timeout: float = 3.0, **changes: Any) -> ProbeFailed:
    with pytest.raises(ProbeFailed) as caught:
        await probe(flow.resource(server, **changes), actions, timeout)
    assert caught.value.message
    assert caught.value.cause
    return caught.value


async def test_it_passes_and_changes_nothing(postgresql: PostgreSQL) -> None:
    target = flow.table(postgresql)
    await probe(flow.resource(postgresql), [action(f"insert into {target}(device) values (${{x}})")])
    assert postgresql.execute(f"select count(*) from {target}") == [(0,)]


async def test_an_unknown_name(postgresql: PostgreSQL) -> None:
    failed = await failing(postgresql, server="no-such-host.invalid:5432")
    assert failed.hop == "name"


async def test_a_refused_connection(postgresql: PostgreSQL) -> None:
    failed = await failing(postgresql, server=f"127.0.0.1:{free_port()}")
    assert (failed.hop, "refused" in failed.message) == ("tcp", True)


@pytest.mark.parametrize("server", ["127.0.0.1:0", "127.0.0.1:99999", "127.0.0.1:x", ":5432"])
async def test_an_address_that_is_none(postgresql: PostgreSQL, server: str) -> None:
    assert (await failing(postgresql, server=server)).hop == "address"


async def test_a_server_that_says_nothing(postgresql: PostgreSQL) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        failed = await failing(postgresql, server=f"127.0.0.1:{silent.getsockname()[1]}", timeout=2)
    assert (failed.hop, "says nothing" in failed.message) == ("login", True)


async def test_a_port_where_nobody_takes_connections(postgresql: PostgreSQL) -> None:
    """A full backlog: the kernel answers no further connection, as a firewall that drops would."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        failed = await failing(postgresql, server=f"127.0.0.1:{full.getsockname()[1]}", connect_timeout=0.3)
        for one in waiting:
            one.close()
    assert (failed.hop, "in time" in failed.message) == ("tcp", True)


def test_no_route(postgresql: PostgreSQL) -> None:
    """In a network namespace of its own with nothing but loopback, no route leads anywhere."""
    script = (
        "import asyncio; from tieline.integration.config.shapes import PostgreSQL\n"
        "from tieline.integration.worker.probe import *\n"
        "r = PostgreSQL(id='r', server='10.1.2.3:5432', database='d', username='u')\n"
        "try: asyncio.run(probe(r))\nexcept ProbeFailed as f: print(f.hop, '|', f.cause)"
    )
    done = subprocess.run(["unshare", "-n", sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("address | ")


async def test_a_wrong_password(postgresql: PostgreSQL) -> None:
    failed = await failing(postgresql, password="wrong")
    assert (failed.hop, "password" in failed.message) == ("login", True)


async def test_a_wrong_user(postgresql: PostgreSQL) -> None:
    assert (await failing(postgresql, username="nobody")).hop == "login"


async def test_a_missing_database(postgresql: PostgreSQL) -> None:
    failed = await failing(postgresql, database="absent")
    assert (failed.hop, "absent" in failed.message) == ("database", True)


async def test_a_server_without_tls(postgresql: PostgreSQL) -> None:
    assert (await failing(postgresql, ssl=Ssl(enable=True))).hop == "tls"


async def test_statements(postgresql: PostgreSQL) -> None:
    target = flow.table(postgresql)
    for sql, said in (
        ("insert into absent(a) values (${a})", "absent"),
        (f"insert into {target}(absent) values (${{a}})", "absent"),
        (f"insert in {target}", "syntax"),
        ("insert into pg_catalog.pg_class(relname) values (${a})", "permission"),
    ):
        failed = await failing(postgresql, action(sql))
        assert (failed.hop, said in failed.message) == ("statement", True), sql
