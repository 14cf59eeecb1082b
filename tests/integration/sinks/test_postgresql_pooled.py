"""Behind a pooler that gives each write another session: rows go into their own tables, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from databases import PgBouncer
from integration.sinks.test_postgresql import TYPES, VALUES, WAYS, action, stored, table
from integration.sinks.trying import refused, writing
from integration.world import flow
from servers import PostgreSQL
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.sql.sql import Sql
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world


@pytest.fixture(scope="module", params=["transaction", "statement", "session"])
def pooler(postgresql: PostgreSQL, request: pytest.FixtureRequest) -> Iterator[PgBouncer]:
    with PgBouncer(postgresql, request.param, 3) as server:
        yield server


def resource(pooler: PgBouncer, **changes: Any) -> Any:
    return flow.resource(pooler.database, server=pooler.server, **changes)


async def test_each_row_is_in_its_own_table(pooler: PgBouncer) -> None:
    """Six writers, each like a process of its own, share three sessions."""
    columns = ("v int", "v text", "v real") * 2
    ways = [*WAYS, *WAYS]
    targets = [table(pooler.database, column) for column in columns]

    async def write(place: int) -> None:
        what = action(ways[place], targets[place])
        async with writing(resource(pooler, pool_size=1), what) as writer:
            for first in range(0, 2000, 50):
                rows = [{"n": n, "v": 10 * n + place} for n in range(first, first + 50)]
                await writer.write(rows)
                if pooler.mode == "session":
                    return

    if pooler.mode == "session":  # a session for each connection: as many at a time as there are sessions
        for place in range(len(targets)):
            await write(place)
    else:
        async with asyncio.TaskGroup() as group:
            for place in range(len(targets)):
                group.create_task(write(place))
    rows = 50 if pooler.mode == "session" else 2000
    for place, target in enumerate(targets):
        assert stored(pooler.database, target) == [str(10 * n + place) for n in range(rows)], columns[place]


@pytest.mark.parametrize("way", WAYS)
async def test_each_type_is_written_and_a_test_passes(pooler: PgBouncer, way: str) -> None:
    pooler.database.execute(TYPES)
    for column in ("smallint", "numeric", "interval", "mood", "small", "interval[]", "jsonb", "timestamptz"):
        good = [value for value, text in VALUES[column] if text is not None]
        target = table(pooler.database, f"v {column}")
        what = action(way, target)
        await probe(resource(pooler), [what])
        async with writing(resource(pooler, pool_size=1), what) as writer:
            await writer.write([{"n": n, "v": value} for n, value in enumerate(good)])
        assert stored(pooler.database, target) == [text for _, text in VALUES[column] if text is not None]
        for value in (value for value, text in VALUES[column] if text is None):
            assert str(await refused(resource(pooler), what, [{"n": 99, "v": value}]))


async def test_a_message_is_written_once(pooler: PgBouncer) -> None:
    target = flow.table(pooler.database, "v int")
    once = Sql(id="a", resource="pg", sql=f"insert into {target}(v) values (${{v}})", exactly_once=True)
    for _ in range(2):
        async with writing(resource(pooler), once) as writer:
            await writer.write([{"v": n, "tieline_id": str(n)} for n in range(10)])
    assert pooler.database.execute(f"select count(*) from {target}") == [(10,)]


async def test_a_session_is_left_as_it_was(pooler: PgBouncer) -> None:
    """No prepared statement stays, no transaction is open, and no lock is held."""
    pooler.database.execute(TYPES)
    target = table(pooler.database, "v mood")
    for way in WAYS:
        async with writing(resource(pooler, pool_size=1), action(way, target)) as writer:
            await writer.write([{"n": len(way), "v": "sad"}])
            with psycopg.connect(pooler.database.dsn, autocommit=True) as looking:
                open_ones = "select count(*) from pg_stat_activity where state like 'idle in%'"
                assert looking.execute(open_ones).fetchall() == [(0,)]
    dsn = pooler.database.dsn.replace(pooler.database.server, pooler.server)
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as looking:
        assert looking.execute("select count(*) from pg_prepared_statements").fetchall() == [(0,)]
        known = "('application_name', 'client_encoding', 'jit')"
        changed = f"select name from pg_settings where source = 'session' and name not in {known}"
        assert looking.execute(changed).fetchall() == []


async def test_a_killed_session_of_the_pooler_loses_no_row(pooler: PgBouncer) -> None:
    target = table(pooler.database, "v int")
    async with writing(resource(pooler, pool_size=1), action("copy", target)) as writer:
        await writer.write([{"n": 1, "v": 1}])
        pooler.database.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app' and pid <> pg_backend_pid()"
        )
        for _ in range(10):
            try:
                await writer.write([{"n": 2, "v": 2}])
                break
            except Unavailable:
                await asyncio.sleep(0.05)
        assert stored(pooler.database, target) == ["1", "2"]
