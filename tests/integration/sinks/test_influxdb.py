"""InfluxDB's sink against a real server, and the lines that its template makes."""

from __future__ import annotations

from typing import Any

import pytest

from certificates import Authority
from databases import InfluxDB
from integration.sinks import ways
from integration.sinks.test_mysql import HOSTILE
from integration.sinks.trying import CLOSED, failing, refused, write, writing
from integration.world.flow import unique
from tieline.integration.config.shapes import Ssl
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.influxdb import sink as kind
from tieline.integration.sinks.influxdb.lines import lines
from tieline.integration.sinks.influxdb.sink import InfluxPoint
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world

NAME = "metrics.customer.example"


def resource(server: InfluxDB, /, **changes: Any) -> kind.InfluxDB:
    known: dict[str, Any] = {"id": "in", "server": server.server, "database": server.database}
    known |= {"username": server.user, "password": server.password, "connect_timeout": 2.0}
    return kind.InfluxDB(**(known | changes))


def action(template: str, **changes: Any) -> InfluxPoint:
    return InfluxPoint(id="a", resource="in", write_syntax=template, **changes)


@pytest.mark.parametrize(
    ("template", "output", "line"),
    [
        (
            "m,d=${d} t=${t},n=${n}i ${ts}",
            {"d": "a b,c=d", "t": 1.5, "n": 2, "ts": 7},
            "m,d=a\\ b\\,c\\=d t=1.5,n=2i 7",
        ),
        ("${m} t=${t}", {"m": "a b,c", "t": 'say "a\\" b=1'}, 'a\\ b\\,c t="say \\"a\\\\\\" b=1"'),
        ("m,d=${d},e=${e} t=${t},u=${u}", {"d": None, "e": "x", "t": None, "u": True}, "m,e=x u=true"),
        ('m t="${t}",s="x y, z",k=1 ', {"t": 5}, 'm t="5",s="x y, z",k=1'),
        ("m t=${t}i", {"t": 3.0}, "m t=3i"),
        ("m,a\\ b=c\\,d f=1", {}, "m,a\\ b=c\\,d f=1"),
        ("m,d=x-${d}-y f=${f}", {"d": "1\\", "f": "a\nb"}, 'm,d=x-1\\-y f="a\nb"'),
    ],
)
def test_a_line(template: str, output: dict[str, Any], line: str) -> None:
    assert lines(template).render(output) == line


@pytest.mark.parametrize("template", ["", "m", "m,t=1", "m f", "m f=1 2 3", "m f=1\nm f=2", "m,t f=1", "m f=${a"])
def test_what_is_no_line(template: str) -> None:
    with pytest.raises(TemplateError):
        lines(template)


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ("m,d=${d} f=1", {"d": "a\nm f=2"}),
        ("m,d=${d} f=1", {"d": "a\\"}),
        ("${m} f=1", {"m": "a\\"}),
        ("m f=${f}i", {"f": 1.5}),
        ("m f=${f}i", {"f": "x"}),
        ("m f=${f}i", {"f": "1_0"}),
        ("m f=${f}i", {"f": "١٢"}),
        ("m f=${f}i", {"f": 2**63}),
        ("m f=${f}u", {"f": 2**64}),
        ("m f=${f}u", {"f": -1}),
        ("m f=${f}", {"f": 10**400}),
        ("m f=1 ${ts}", {"ts": 2**63}),
        ("m f=1 ${ts}", {"ts": "١٢"}),
        ("m f=${f}", {"f": None}),
        ("m f=${f}", {"f": float("inf")}),
        ("m f=1 ${ts}", {"ts": "1 m f=2"}),
        ("${m} f=1", {"m": ""}),
    ],
)
def test_a_value_that_makes_no_point(template: str, output: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        lines(template).render(output)


async def test_points_arrive(influxdb: InfluxDB) -> None:
    name = unique("m")
    outputs = [
        {"d": f"d {n}", "t": n / 2, "n": n, "s": 'a "quoted" text', "ts": 1_700_000_000_000 + n} for n in range(2000)
    ]
    await write(resource(influxdb), action(f"{name},device=${{d}} t=${{t}},n=${{n}}i,s=${{s}} ${{ts}}"), outputs)
    (found,) = influxdb.execute(f"select count(t), sum(n), last(s) from {name}")
    assert (found["count"], found["sum"], found["last"]) == (2000, 1_999_000, 'a "quoted" text')
    assert influxdb.execute(f"select t from {name} where device = 'd 7'")[0]["t"] == 3.5


async def test_a_payload_cannot_change_a_line(influxdb: InfluxDB) -> None:
    name, texts = unique("m"), [*HOSTILE, "a,b=c d=1", "x\\,y", "\\=", " ", 'a" f=1', "a\\b"]
    outputs = [{"d": text.replace("\0", ""), "f": text} for text in texts if not text.endswith("\\")]
    await write(resource(influxdb), action(f"{name},d=${{d}},k=k f=${{f}}"), outputs)
    found = influxdb.execute(f"select d, f, k from {name}")
    assert sorted((row["d"] or "", row["f"], row["k"]) for row in found) == sorted(
        (o["d"], o["f"], "k") for o in outputs
    )


async def test_points_without_a_time_do_not_replace_each_other(influxdb: InfluxDB) -> None:
    name = unique("m")
    await write(resource(influxdb), action(f"{name} t=${{t}}"), [{"t": n} for n in range(500)])
    assert influxdb.execute(f"select count(t) from {name}")[0]["count"] == 500


async def test_a_poison_row_is_found(influxdb: InfluxDB) -> None:
    name, what = unique("m"), resource(influxdb)
    template = action(f"{name},d=${{d}} t=${{t}}")
    await write(what, template, [{"d": "a", "t": 1.5}])
    assert "type conflict" in str(await refused(what, template, [{"d": "a", "t": "text"}]))
    found = await refused(what, template, [{"d": "a", "t": 1}, {"d": "b\n", "t": 1}])
    assert list(found.rows) == [1]


async def test_a_server_that_dies_is_tried_again() -> None:
    with InfluxDB() as server:
        async with writing(resource(server), action("m t=${t}")) as writer:
            await writer.write([{"t": 1}])
            server.kill()
            with pytest.raises(Unavailable) as caught:
                await writer.write([{"t": 2}])
            assert caught.value.hop == "tcp"
            server.start()
            await writer.write([{"t": 2}])
        assert server.execute("select count(t) from m")[0]["count"] == 2


@pytest.mark.parametrize(
    ("changes", "hop", "said"),
    [
        ({"server": CLOSED}, "tcp", "refused"),
        ({"server": "no-such-host.invalid"}, "name", "not known"),
        ({"password": "wrong"}, "login", "let this user in"),
        ({"database": "absent"}, "database", ""),
        ({"username": "stranger"}, "login", ""),
        ({"ssl": Ssl(enable=True)}, "tls", "TLS"),
    ],
)
async def test_each_hop_is_named(influxdb: InfluxDB, changes: dict[str, Any], hop: str, said: str) -> None:
    failed = await failing(resource(influxdb, **changes))
    assert (failed.hop, said in failed.message, bool(failed.hint)) == (hop, True, True), (failed, failed.cause)


async def test_the_right_to_write_is_checked_and_nothing_is_written(influxdb: InfluxDB) -> None:
    other = unique("u")
    influxdb.execute(f"create user {other} with password 'x'")
    influxdb.execute(f"grant read on {influxdb.database} to {other}")
    failed = await failing(resource(influxdb, username=other, password="x"))
    assert (failed.hop, "may not write" in failed.message) == ("database", True)
    name = unique("m")
    await probe(resource(influxdb), [action(f"{name} t=${{t}}")])
    assert influxdb.execute(f"select * from {name}") == []


async def test_tls_with_a_name() -> None:
    server, authority = InfluxDB(), Authority()
    pair = authority.sign(NAME)
    cert, key = server.write("cert.pem", pair.cert), server.write("key.pem", pair.key)
    server.settings = ("https-enabled = true", f'https-certificate = "{cert}"', f'https-private-key = "{key}"')
    with server:
        await probe(resource(server, ssl=Ssl(enable=True, cacert=authority.cert, server_name=NAME)))
        wrong = Ssl(enable=True, cacert=authority.cert, server_name="other.example")
        assert (await failing(resource(server, ssl=wrong))).hop == "tls"
        assert (await failing(resource(server))).hop == "tls"


@pytest.mark.parametrize("bad", [1, 40])
async def test_a_request_that_is_refused_in_part_doubles_no_point(influxdb: InfluxDB, bad: int) -> None:
    """The server keeps the points that fit, and tells of the others together."""
    name = unique("m")
    await write(resource(influxdb), action(f"{name} v=${{v}}"), [{"v": 1.5}])
    sent = [{"v": "no number" if n % (999 // bad) == 0 and n else float(n)} for n in range(999 + bad)]
    buried = await ways.write(resource(influxdb), action(f"{name} v=${{v}}"), *sent)
    refused = sum(isinstance(row["v"], str) for row in sent)
    assert len(buried) == refused > 0
    (counted,) = influxdb.execute(f"select count(v) from {name}")
    assert int(counted["count"]) == len(sent) - refused + 1
