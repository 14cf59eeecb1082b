"""ClickHouse's sink against a real server: rows and their values, what is rejected, and each hop of its Test."""

from __future__ import annotations

from typing import Any

import pytest

from certificates import Authority
from databases import ClickHouse
from integration.sinks.test_mysql import HOSTILE
from integration.sinks.trying import CLOSED, failing, refused, write, writing
from integration.world.flow import unique
from servers import free_port
from tieline.integration.config.shapes import Ssl
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.clickhouse import sink as kind
from tieline.integration.sinks.sql.sql import Sql
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world

NAME = "columns.customer.example"


def resource(server: ClickHouse, /, **changes: Any) -> kind.ClickHouse:
    known: dict[str, Any] = {"id": "ch", "url": server.url, "database": server.database}
    known |= {"username": server.user, "password": server.password, "connect_timeout": 2.0}
    return kind.ClickHouse(**(known | changes))


def action(sql: str, **changes: Any) -> Sql:
    return Sql(id="a", resource="ch", sql=sql, **changes)


def table(server: ClickHouse, columns: str) -> str:
    name = unique("T")
    server.execute(f"create table {name}({columns}) engine = MergeTree() order by tuple()")
    return name


async def test_rows_arrive_with_their_values(clickhouse: ClickHouse) -> None:
    target = table(clickhouse, "deviceId String, t Nullable(Float64), n Int64, up UInt8, at DateTime, raw String")
    sql = (
        f"insert into {target}(deviceId, t, n, up, at, raw) "
        "values (${d}, ${t}, ${n}, ${up}, toDateTime(${ts} / 1000), '${n}');"
    )
    outputs = [
        {"d": f"d{n}", "t": n / 2 if n % 2 else None, "n": n, "up": True, "ts": 1_700_000_000_000} for n in range(900)
    ]
    await write(resource(clickhouse), action(sql), outputs)
    rows = clickhouse.execute(f"select deviceId, t, toString(n), up, toUInt32(at), raw from {target} order by n")
    assert len(rows) == 900
    assert rows[7] == ["d7", 3.5, "7", 1, 1_700_000_000, "7"]
    assert rows[8][1] is None


async def test_a_payload_cannot_change_a_statement(clickhouse: ClickHouse) -> None:
    target = table(clickhouse, "n Int32, a String, b String")
    sql = f"insert into {target}(n, a, b) values (${{n}}, '${{a}}', concat('<', ${{a}}))"
    texts = [*HOSTILE, "\\'", "a\nb", "');\ninsert into x values ('"]
    await write(resource(clickhouse), action(sql), [{"n": n, "a": text} for n, text in enumerate(texts)])
    assert clickhouse.execute(f"select a, b from {target} order by n") == [[text, f"<{text}"] for text in texts]


async def test_a_poison_row_is_named_and_nothing_is_kept(clickhouse: ClickHouse) -> None:
    target = table(clickhouse, "n Int32")
    outputs: list[dict[str, Any]] = [{"n": n} for n in range(50)]
    outputs[17] = {"n": "many"}
    found = await refused(resource(clickhouse), action(f"insert into {target}(n) values (${{n}})"), outputs)
    assert list(found.rows) in ([17], [])
    assert clickhouse.execute(f"select toString(count()) from {target}") == [["0"]]


@pytest.mark.parametrize(
    "sql", ["select 1", "insert into t select ${a}", "insert into t values (1)", "alter table ${a}"]
)
def test_what_is_no_insert(clickhouse: ClickHouse, sql: str) -> None:
    with pytest.raises(TemplateError):
        kind.ClickHouseSink(resource(clickhouse)).writer(action(sql))


async def test_a_server_that_dies_is_tried_again() -> None:
    with ClickHouse() as server:
        target = table(server, "n Int32")
        async with writing(resource(server), action(f"insert into {target}(n) values (${{n}})")) as writer:
            await writer.write([{"n": 1}])
            server.kill()
            with pytest.raises(Unavailable) as caught:
                await writer.write([{"n": 2}])
            assert caught.value.hop == "tcp"
            server.start()
            await writer.write([{"n": 2}])
        assert server.execute(f"select sum(n) from {target}") in ([[3]], [["3"]])


@pytest.mark.parametrize(
    ("changes", "hop", "said"),
    [
        ({"url": f"http://{CLOSED}"}, "tcp", "refused"),
        ({"url": "http://no-such-host.invalid:8123"}, "name", "not known"),
        ({"password": "wrong"}, "login", "password"),
        ({"username": "stranger"}, "login", "stranger"),
        ({"database": "absent"}, "database", "absent"),
    ],
)
async def test_each_hop_is_named(clickhouse: ClickHouse, changes: dict[str, Any], hop: str, said: str) -> None:
    failed = await failing(resource(clickhouse, **changes))
    assert (failed.hop, said in failed.message, bool(failed.hint)) == (hop, True, True), (failed, failed.cause)


async def test_https_where_there_is_none(clickhouse: ClickHouse) -> None:
    failed = await failing(resource(clickhouse, url=clickhouse.url.replace("http:", "https:")))
    assert failed.hop == "tls"


async def test_statements_are_checked_and_insert_nothing(clickhouse: ClickHouse) -> None:
    target = table(clickhouse, "n Int32")
    good = action(f"insert into {target}(n) values (${{n}})")
    await probe(resource(clickhouse), [good])
    assert clickhouse.execute(f"select toString(count()) from {target}") == [["0"]]
    for what, sql, said in (
        (resource(clickhouse), "insert into absent(n) values (${n})", "absent"),
        (resource(clickhouse), f"insert into {target}(absent) values (${{n}})", "absent"),
        (resource(clickhouse, username="reader"), good.sql, "readonly"),
    ):
        failed = await failing(what, action(sql))
        assert (failed.hop, said in failed.message) == ("statement", True), failed


async def test_tls_with_a_name() -> None:
    server, authority, port = ClickHouse(), Authority(), free_port()
    pair = authority.sign(NAME)
    cert, key = server.write("cert.pem", pair.cert), server.write("key.pem", pair.key)
    files = f"<certificateFile>{cert}</certificateFile><privateKeyFile>{key}</privateKeyFile>"
    server.more = f"<https_port>{port}</https_port><openSSL><server>{files}</server></openSSL>"
    with server:
        there = {"url": f"https://127.0.0.1:{port}"}
        good = Ssl(cacert=authority.cert, server_name=NAME)
        target = table(server, "n Int32")
        await write(resource(server, ssl=good, **there), action(f"insert into {target}(n) values (${{n}})"), [{"n": 1}])
        assert server.execute(f"select n from {target}") == [[1]]
        for wrong in (Ssl(cacert=authority.cert, server_name="other.example"), Ssl(server_name=NAME)):
            assert (await failing(resource(server, ssl=wrong, **there))).hop == "tls"
