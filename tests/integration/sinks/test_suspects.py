"""An answer that one row gets is that row's, and one that every row gets is the server's: against real servers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import psycopg
import pytest

from databases import ClickHouse, MariaDB, Redis
from integration.sinks import test_clickhouse, test_mysql, test_redis
from integration.sinks.ways import Way, way
from integration.world import flow
from servers import PostgreSQL
from tieline.integration.delivery.verdicts import PROOF
from tieline.integration.sinks import Action, Resource
from tieline.integration.sinks.http.sink import Http, HttpRequest
from tieline.integration.sinks.sql.sql import Sql

pytestmark = pytest.mark.world

BAD = (3, 57, 99)


async def judged(resource: Resource, action: Action, bad: tuple[int, ...] = BAD, count: int = 100) -> Way:
    """Write numbered rows, of which some are bad: those are the letters, and the way is well all the same."""
    async with way(resource, action) as one:
        one.add(*({"n": n} for n in range(count)))
        await one.drained()
        assert sorted(row["n"] for row, _ in one.buried) == list(bad)
        assert one.batcher.trouble is None
        return one


def sql(server: PostgreSQL, statement: str, **changes: Any) -> tuple[Resource, Action]:
    return flow.resource(server, **changes), Sql(id="a", resource="pg", sql=statement)


def numbers(server: PostgreSQL, table: str) -> list[int]:
    return [row[0] for row in server.execute(f"select n from {table} order by n")]


GOOD = [n for n in range(100) if n not in BAD]


@pytest.mark.parametrize(
    "body",
    [
        "raise exception 'not this one' using errcode = 'TL001'",
        "raise exception 'no right' using errcode = '42501'",
        "raise exception 'busy' using errcode = '55P03'",
        "perform pg_sleep(5)",
    ],
    ids=["a code of its own", "no right", "a lock", "too slow"],
)
async def test_a_trigger_that_fails_for_one_row(postgresql: PostgreSQL, body: str) -> None:
    target = flow.table(postgresql, "n int")
    postgresql.execute(
        f"create function f_{target}() returns trigger language plpgsql as $$ begin "
        f"if new.n in {BAD} then {body}; end if; return new; end $$"
    )
    postgresql.execute(f"create trigger b before insert on {target} for each row execute function f_{target}()")
    postgresql.execute(f"alter role {postgresql.user} set statement_timeout = '100ms'")
    try:
        await judged(*sql(postgresql, f"insert into {target}(n) values (${{n}})"))
    finally:
        postgresql.execute(f"alter role {postgresql.user} reset statement_timeout")
    assert numbers(postgresql, target) == GOOD


async def test_a_row_that_row_level_security_refuses(postgresql: PostgreSQL) -> None:
    target, role = flow.table(postgresql, "n int"), flow.unique("role")
    with psycopg.connect(postgresql._admin_dsn(postgresql.database), autocommit=True) as connection:
        connection.execute(f"create role {role} login password 'p'")
    postgresql.execute(f"grant insert, select on {target} to {role}")
    postgresql.execute(f"alter table {target} enable row level security")
    postgresql.execute(f"create policy p on {target} with check (n not in {BAD})")
    await judged(*sql(postgresql, f"insert into {target}(n) values (${{n}})", username=role, password="p"))
    assert numbers(postgresql, target) == GOOD


@pytest.mark.parametrize("values", ["(${n}, ${v})", "(${n}::int, ${v}::real)"], ids=["copy", "unnest"])
async def test_a_number_that_the_column_cannot_hold(postgresql: PostgreSQL, values: str) -> None:
    target = flow.table(postgresql, "n int, v real")
    async with way(*sql(postgresql, f"insert into {target}(n, v) values {values}")) as one:
        one.add(*({"n": n, "v": 1e39 if n in BAD else 0.5} for n in range(100)))
        await one.drained()
        assert sorted(row["n"] for row, _ in one.buried) == list(BAD)
    assert numbers(postgresql, target) == GOOD


async def test_a_signal_with_a_code_of_its_own(mariadb: MariaDB) -> None:
    target = test_mysql.table(mariadb, "n int")
    mariadb.execute(
        f"create trigger {target}_b before insert on {target} for each row "
        f"if new.n in {BAD} then signal sqlstate '99001' set mysql_errno = 5001, message_text = 'not this'; end if"
    )
    await judged(test_mysql.resource(mariadb), test_mysql.action(f"insert into {target}(n) values (${{n}})"))
    assert [row[0] for row in mariadb.execute(f"select n from {target} order by n")] == GOOD


async def test_a_key_that_the_user_may_not_write(redis: Redis) -> None:
    name, key = flow.unique("user"), flow.unique("k")
    redis.execute("ACL", "SETUSER", name, "on", ">p", f"~{key}:[0-9]*", "+@all")
    where = test_redis.resource(redis, username=name, password="p")
    async with way(where, test_redis.action("SET ${place}:${n} 1")) as one:
        one.add(*({"n": n, "place": "other" if n in BAD else key} for n in range(100)))
        await one.drained()
        assert sorted(row["n"] for row, _ in one.buried) == list(BAD)
        assert all("NOPERM" in why for _, why in one.buried)
    assert len(redis.execute("KEYS", f"{key}:*")) == len(GOOD)


async def test_a_value_that_an_enum_does_not_have(clickhouse: ClickHouse) -> None:
    target = test_clickhouse.table(clickhouse, "n Int32, e Enum8('a' = 1)")
    action = test_clickhouse.action(f"insert into {target}(n, e) values (${{n}}, ${{e}})")
    async with way(test_clickhouse.resource(clickhouse), action) as one:
        one.add(*({"n": n, "e": "z" if n in BAD else "a"} for n in range(100)))
        await one.drained()
        assert sorted(row["n"] for row, _ in one.buried) == list(BAD)
    assert [row[0] for row in clickhouse.execute(f"select n from {target} order by n")] == GOOD


class Hook(ThreadingHTTPServer):
    """A server whose answer to each body is up to the test: a status, and perhaps Retry-After."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.decide: Callable[[str], tuple[int, str]] = lambda body: (204, "")
        self.taken: list[str] = []
        self.times: list[float] = []

    def resource(self) -> Http:
        return Http(id="h", url=f"http://127.0.0.1:{self.server_port}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        status, wait = self.server.decide(body)
        self.server.times.append(time.monotonic())
        if status < 300:
            self.server.taken.append(body)
        self.send_response(status)
        self.send_header("content-length", "0")
        if wait:
            self.send_header("retry-after", wait)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


REQUEST = HttpRequest(id="a", resource="h", body="${n}")


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 500, 503])
async def test_an_answer_to_one_body_is_that_body_s(hook: Hook, status: int) -> None:
    hook.decide = lambda body: (status if int(body) in BAD else 204, "")
    async with way(hook.resource(), REQUEST) as one:
        one.add(*({"n": n} for n in range(100)))
        later = iter(range(100, 200))
        while len(one.buried) < len(BAD):  # and meanwhile others arrive
            one.add({"n": next(later)})
            await asyncio.sleep(0.05)
        await one.drained()
        assert sorted(row["n"] for row, _ in one.buried) == list(BAD) and one.batcher.trouble is None
        assert all(str(status) in why for _, why in one.buried)
    assert sorted(map(int, hook.taken)) == [n for n in range(next(later)) if n not in BAD]


@pytest.mark.parametrize("window", [1, 100], ids=["ordered", ""])
@pytest.mark.parametrize("status", [400, 500, 503])
async def test_while_every_body_is_refused_they_are_kept_and_go_in_afterwards(
    hook: Hook, status: int, window: int
) -> None:
    hook.decide = lambda body: (status, "")
    async with way(hook.resource(), msgspec.structs.replace(REQUEST, inflight_window=window)) as one:
        one.add(*({"n": n} for n in range(400)))
        await one.until(lambda: one.batcher.trouble is not None and len(hook.times) > 402, "tried more than once")
        trouble = one.batcher.trouble
        assert trouble is not None and str(status) in trouble.message + trouble.cause
        hook.decide = lambda body: (204, "")
        await one.drained()
        assert len(one.buried) <= (PROOF if window == 1 else 1)  # of which some are tried while it ends
        assert one.batcher.trouble is None
    assert sorted([*map(int, hook.taken), *(row["n"] for row, _ in one.buried)]) == list(range(400))


async def test_a_server_that_asks_for_a_pause_gets_it(hook: Hook) -> None:
    hook.decide = lambda body: (429 if int(body) % 2 else 503, "1")
    async with way(hook.resource(), REQUEST) as one:
        one.add(*({"n": n} for n in range(8)))
        await one.until(lambda: len(hook.times) == 8, "the first tries")
        hook.decide = lambda body: (204, "")
        await one.drained()
        assert one.buried == [] and hook.times[8] - hook.times[7] >= 0.9


async def test_a_new_column_without_a_default_stops_the_rows_and_loses_none(postgresql: PostgreSQL) -> None:
    target = flow.table(postgresql, "n int")
    async with way(*sql(postgresql, f"insert into {target}(n) values (${{n}})")) as one:
        one.add(*({"n": n} for n in range(500)))
        await one.drained()
        postgresql.execute(f"delete from {target}")
        postgresql.execute(f"alter table {target} add column more int not null")
        one.add(*({"n": n} for n in range(500, 2000)))
        await one.until(lambda: one.batcher.trouble is not None, "it is noticed")
        trouble = one.batcher.trouble
        assert trouble is not None and "more" in trouble.message and "kept" in trouble.message
        postgresql.execute(f"alter table {target} alter column more set default 0")
        await one.drained()
        assert one.buried == []
    assert numbers(postgresql, target) == list(range(500, 2000))


async def test_hundreds_of_refused_rows_in_one_batch_are_letters(postgresql: PostgreSQL) -> None:
    target = flow.table(postgresql, "n int check (n % 3 <> 0)")
    async with way(*sql(postgresql, f"insert into {target}(n) values (${{n}})")) as one:
        one.add(*({"n": n} for n in range(1000)))
        await one.drained()
        assert sorted(row["n"] for row, _ in one.buried) == list(range(0, 1000, 3))
    assert numbers(postgresql, target) == [n for n in range(1000) if n % 3]
