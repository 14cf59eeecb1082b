"""MySQL's sink against a real MariaDB: rows and their values, what is rejected and named, and each hop of its Test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from certificates import Authority
from databases import MariaDB
from integration.sinks.trying import CLOSED, failing, refused, write, writing
from integration.world.flow import unique
from tieline.integration.config.shapes import Ssl
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.mysql import sink as mysql
from tieline.integration.sinks.mysql.sink import MySQL, MySQLSink
from tieline.integration.sinks.sql.sql import Sql
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world

NAME = "db.customer.example"
HOSTILE = ["'); drop table t; --", '"', "\\", "\\'); select 1; -- ", "\0", "`", "?", "${.}", "日本語", "%s %(a)s"]


def resource(server: MariaDB, /, **changes: Any) -> MySQL:
    known: dict[str, Any] = {"id": "my", "server": server.server, "database": server.database}
    known |= {"username": server.user, "password": server.password, "connect_timeout": 2.0}
    return MySQL(**(known | changes))


def action(sql: str, **changes: Any) -> Sql:
    return Sql(id="a", resource="my", sql=sql, **changes)


def table(server: MariaDB, columns: str) -> str:
    name = unique("t")
    server.execute(f"create table {name}({columns})")
    return name


async def test_rows_arrive_with_their_values(mariadb: MariaDB) -> None:
    target = table(mariadb, "a varchar(50), b double, c bigint, d bool, e json, f datetime(3)")
    sql = f"insert into {target} values (${{a}}, ${{b}}, ${{c}}, ${{d}}, ${{e}}, from_unixtime(${{f}} / 1000))"
    outputs: list[dict[str, Any]] = [
        {"a": f"d{n}", "b": n / 2 if n % 2 else n, "c": n, "d": True, "e": {"n": [n]}, "f": 1_500} for n in range(700)
    ]
    outputs.append(dict.fromkeys("abcdef"))
    await write(resource(mariadb), action(sql), outputs)
    rows = mariadb.execute(f"select a, b, c, d, json_value(e, '$.n[0]'), microsecond(f) from {target} order by c")
    assert len(rows) == 701
    assert rows[0] == (None,) * 6
    assert rows[601] == ("d600", 600.0, 600, 1, "600", 500_000)


async def test_a_payload_cannot_change_a_statement(mariadb: MariaDB) -> None:
    target = table(mariadb, "n int, a text, b text")
    sql = f"insert into {target}(n, a, b) values (${{n}}, '${{a}}', concat('<', ${{a}}, '>'))"
    await write(resource(mariadb), action(sql), [{"n": n, "a": text} for n, text in enumerate(HOSTILE)])
    rows = mariadb.execute(f"select a, b from {target} order by n")
    assert rows == [(text, f"<{text}>") for text in HOSTILE]


@pytest.mark.parametrize(("as_null", "stored"), [(True, None), (False, "undefined")])
async def test_what_is_missing(mariadb: MariaDB, as_null: bool, stored: str | None) -> None:
    target = table(mariadb, "a text")
    what = action(f"insert into {target}(a) values (${{a.b}})", undefined_vars_as_null=as_null)
    await write(resource(mariadb), what, [{"a": {}}])
    assert mariadb.execute(f"select a from {target}") == [(stored,)]


async def test_a_poison_row_is_named_and_nothing_is_kept(mariadb: MariaDB) -> None:
    target = table(mariadb, "a int not null")
    outputs: list[dict[str, Any]] = [{"a": n} for n in range(600)]
    for place, value, said in ((417, "many", "Incorrect integer"), (300, 1 << 80, "Out of range"), (5, None, "null")):
        wrong = [*outputs]
        wrong[place] = {"a": value}
        found = await refused(resource(mariadb), action(f"insert into {target}(a) values (${{a}})"), wrong)
        assert said in str(found)
        assert list(found.rows) in ([place], [])  # MariaDB does not say which row a NULL is in
    found = await refused(resource(mariadb), action(f"insert into {target}(a) values (${{a}})"), [{"a": float("nan")}])
    assert found.rows == {0: "nan is no number that MySQL can keep"}
    assert mariadb.execute(f"select count(*) from {target}") == [(0,)]


async def test_a_row_that_the_server_hangs_up_on_is_named(mariadb: MariaDB) -> None:
    target = table(mariadb, "a longtext")
    what, whole = action(f"insert into {target}(a) values (${{a}})"), "x" * (16 << 20)
    alone = resource(mariadb, pool_size=1)
    found = await refused(alone, what, [{"a": "small"}, {"a": whole}, {"a": whole[: 1 << 20]}])
    assert list(found.rows) == [1]
    assert "max_allowed_packet" in found.rows[1]
    await write(resource(mariadb), what, [{"a": "small"}, {"a": whole[: 1 << 20]}])
    assert mariadb.execute(f"select length(a) from {target} order by 1") == [(5,), (1 << 20,)]


async def test_a_duplicate_is_rejected_or_updates_as_the_statement_says(mariadb: MariaDB) -> None:
    target = table(mariadb, "a int primary key, b int")
    twice = [{"a": 1, "b": 1}, {"a": 1, "b": 2}]
    plain = f"insert into {target}(a, b) values (${{a}}, ${{b}})"
    assert "Duplicate entry" in str(await refused(resource(mariadb), action(plain), twice))
    await write(resource(mariadb), action(f"{plain} on duplicate key update b = values(b)"), twice)
    assert mariadb.execute(f"select a, b from {target}") == [(1, 2)]


async def test_other_statements_run_once_for_each_row(mariadb: MariaDB) -> None:
    target = table(mariadb, "a int check (a < 10)")
    mariadb.execute(f"insert into {target} values (0)")
    one = action(f"update {target} set a = a + ${{n}};")
    await write(resource(mariadb), one, [{"n": 1}, {"n": 2}])
    assert mariadb.execute(f"select a from {target}") == [(3,)]
    found = await refused(resource(mariadb), one, [{"n": 1}, {"n": 90}, {"n": 1}])
    assert list(found.rows) == [1]
    assert mariadb.execute(f"select a from {target}") == [(3,)]


async def test_a_server_that_dies_is_tried_again() -> None:
    with MariaDB() as server:
        target = table(server, "a int")
        what = action(f"insert into {target}(a) values (${{a}})")
        async with writing(resource(server), what) as writer:
            await writer.write([{"a": 1}])
            server.kill()
            for _ in range(2):
                with pytest.raises(Unavailable) as caught:
                    await writer.write([{"a": 2}])
                assert caught.value.hop == "tcp"
            server.start()
            await writer.write([{"a": 2}])
        assert server.execute(f"select a from {target} order by a") == [(1,), (2,)]


async def test_a_test_passes_and_changes_nothing(mariadb: MariaDB) -> None:
    target = table(mariadb, "a int")
    await probe(resource(mariadb), [action(f"insert into {target}(a) values (${{a}})")])
    assert mariadb.execute(f"select count(*) from {target}") == [(0,)]


@pytest.mark.parametrize(
    ("changes", "hop", "said"),
    [
        ({"server": CLOSED}, "tcp", "refused"),
        ({"server": "no-such-host.invalid"}, "name", "not known"),
        ({"password": "wrong"}, "login", "let this user in"),
        ({"username": "stranger"}, "login", "let this user in"),
        ({"database": "absent"}, "database", "absent"),
        ({"ssl": Ssl(enable=True)}, "tls", "TLS"),
    ],
)
async def test_each_hop_is_named(mariadb: MariaDB, changes: dict[str, Any], hop: str, said: str) -> None:
    failed = await failing(resource(mariadb, **changes))
    assert (failed.hop, said in failed.message, bool(failed.hint)) == (hop, True, True), failed


@pytest.fixture(scope="module")
def secured() -> Iterator[tuple[MariaDB, Authority]]:
    """A server that takes only clients with a certificate of its authority."""
    server, authority = MariaDB(), Authority()
    pair = authority.sign(NAME)
    files = {"ssl-ca": authority.cert, "ssl-cert": pair.cert, "ssl-key": pair.key}
    server.options = tuple(f"--{name}={server.write(name, text)}" for name, text in files.items())
    with server:
        server.execute(f"alter user {server.user}@'%' require x509")
        yield server, authority


async def test_tls_with_a_name_and_a_certificate(secured: tuple[MariaDB, Authority]) -> None:
    server, authority = secured
    client = authority.sign("app")
    whole = Ssl(enable=True, cacert=authority.cert, cert=client.cert, key=client.key, server_name=NAME)
    await probe(resource(server, ssl=whole))
    changes: tuple[tuple[dict[str, str], str], ...] = (
        ({"server_name": "other.example"}, "tls"),
        ({"cacert": Authority("another").cert}, "tls"),
        ({"cert": "", "key": ""}, "login"),
    )
    for change, hop in changes:
        failed = await failing(resource(server, ssl=msgspec.structs.replace(whole, **change)))
        assert failed.hop == hop, failed
    assert (await failing(resource(server))).hop == "login"


async def test_statements_are_checked(mariadb: MariaDB) -> None:
    target, other = table(mariadb, "a int"), unique("u")
    mariadb.execute(f"create user {other}@'%' identified by 'x'")
    mariadb.execute(f"grant select on {mariadb.database}.* to {other}@'%'")
    for sql, said in (
        ("insert into absent(a) values (${a})", "absent"),
        (f"insert into {target}(absent) values (${{a}})", "absent"),
        (f"insert into {target}(a) values (${{a}}, ${{b}})", "Column count"),
        (f"insert in {target}", "syntax"),
    ):
        failed = await failing(resource(mariadb), action(sql))
        assert (failed.hop, said in failed.message) == ("statement", True), sql
    reader = resource(mariadb, username=other, password="x")
    failed = await failing(reader, action(f"insert into {target}(a) values (${{a}})"))
    assert (failed.hop, "denied" in failed.message) == ("statement", True)


async def test_statements_of_rules_that_were_changed_do_not_stay_on_the_server(
    mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their number is limited for all clients of a server: a rule that is edited often must not use it up."""
    monkeypatch.setattr(mysql, "STATEMENTS", 8)
    target = table(mariadb, "n int")

    def prepared() -> int:
        return int(mariadb.execute("show global status like 'Prepared_stmt_count'")[0][1])

    before, sink = prepared(), MySQLSink(resource(mariadb, pool_size=1))
    try:
        for n in range(20):
            await sink.writer(action(f"insert into {target}(n) values (${{n}} + {n})")).write([{"n": 0}])
        assert prepared() - before <= 8
        writer = sink.writer(action(f"insert into {target}(n) values (${{n}})"))
        for kind in ["datetime", "int"] * 6:
            mariadb.execute(f"truncate {target}")
            mariadb.execute(f"alter table {target} modify n {kind}")
            await writer.write([{"n": 20240310}])
        assert prepared() - before <= 8
    finally:
        await sink.close()
