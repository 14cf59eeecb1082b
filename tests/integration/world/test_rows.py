"""Messages published to a real broker arrive in a real database: those that a rule matches, and no others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from integration.world import flow
from servers import Mosquitto, PostgreSQL
from tieline.integration.config import shapes as config

pytestmark = pytest.mark.world


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_exactly_the_matching_rows_arrive(postgresql: PostgreSQL, mosquitto: Mosquitto, qos: int) -> None:
    target = flow.table(postgresql)
    what = config.Config(resources=(flow.resource(postgresql),), rules=(flow.rule(target),))
    async with flow.running(flow.broker(mosquitto), what) as pipeline:
        await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(1000), qos)
        expected = flow.wanted(1000)
        await flow.eventually(lambda: len(flow.devices(postgresql, target)) >= len(expected), "rows")
        await flow.eventually(lambda: pipeline.status()["resources"]["pg"]["pending"] == 0, "the database's answers")
        assert flow.devices(postgresql, target) == expected
        counted = pipeline.metrics()
        assert counted["rules"]["r"]["matched"] == 1000
        assert counted["rules"]["r"]["passed"] == len(expected) == counted["actions"]["r"]["write"]["success"]


async def test_a_template_with_casts_and_functions(postgresql: PostgreSQL, mosquitto: Mosquitto) -> None:
    target = flow.table(postgresql, "device text, temp numeric(5,2), at timestamptz, label text")
    insert = (
        "insert into {table}(device, temp, at, label) values "
        "(${{device}}, ${{temp}}, to_timestamp(${{timestamp}}::bigint/1000.0), upper('x-' || ${{device}}))"
    )
    what = config.Config(resources=(flow.resource(postgresql),), rules=(flow.rule(target, insert=insert),))
    async with flow.running(flow.broker(mosquitto), what):
        await asyncio.to_thread(flow.publish, mosquitto, [("sensors/1", {"device": 7, "temp": "x"})])
        await asyncio.to_thread(flow.publish, mosquitto, [("sensors/1", {"device": 7, "temp": 21.5})])
        await flow.eventually(lambda: bool(postgresql.execute(f"select 1 from {target}")), "a row")
        age = "abs(extract(epoch from now() - at)) < 60"
        assert postgresql.execute(f"select device, temp::text, label, {age} from {target}") == [
            ("7", "21.50", "X-7", True)
        ]


async def test_a_number_in_a_text_counts_and_a_text_that_is_none_is_an_exception(
    postgresql: PostgreSQL, mosquitto: Mosquitto
) -> None:
    target = flow.table(postgresql, "device numeric, temp text, ts bigint")
    what = config.Config(resources=(flow.resource(postgresql),), rules=(flow.rule(target),))
    large = 2**64 + 1
    async with flow.running(flow.broker(mosquitto), what) as pipeline:
        temps = ["25.5", "19", "hot", " 21", 21, None]
        messages = [("sensors/1", {"device": large + n, "temp": temp}) for n, temp in enumerate(temps)]
        await asyncio.to_thread(flow.publish, mosquitto, messages)
        await flow.eventually(lambda: len(postgresql.execute(f"select 1 from {target}")) == 2, "two rows")
        await flow.eventually(lambda: len(pipeline.dead_letters) == 2, "two letters")
        rows = postgresql.execute(f"select device::text, temp from {target} order by device")
        assert rows == [(str(large), "25.5"), (str(large + 4), "21")]
        counted = pipeline.metrics()["rules"]["r"]
        assert (counted["matched"], counted["passed"], counted["failed.exception"]) == (6, 2, 2)
        assert all("is no number" in letter.error for letter in pipeline.dead_letters.list())


@pytest.mark.parametrize(
    "values",
    [
        "(${{device}}, ${{temp}}, ${{timestamp}})",
        "(lower(${{device}}), ${{temp}}::float8, ${{timestamp}})",
        "(${{device}}, ${{temp}}, (select max(${{timestamp}}::bigint)))",
    ],
    ids=["copy", "unnest", "executemany"],
)
async def test_every_way_of_writing_gives_the_same_rows(
    postgresql: PostgreSQL, mosquitto: Mosquitto, values: str
) -> None:
    target = flow.table(postgresql, "device text primary key, temp float8 check (temp <> 25), ts bigint")
    insert = "insert into {table}(device, temp, ts) values " + values
    what = config.Config(resources=(flow.resource(postgresql),), rules=(flow.rule(target, insert=insert),))
    async with flow.running(flow.broker(mosquitto), what) as pipeline:
        await asyncio.to_thread(flow.publish, mosquitto, flow.numbered(1000))
        expected = sorted(f"d{n}" for n in range(1000) if n % 40 > 20 and n % 40 != 25)
        await flow.eventually(lambda: flow.devices(postgresql, target) == expected, "the good rows")
        await flow.eventually(lambda: len(pipeline.dead_letters) == 25, "the letters")


async def test_an_injection_is_a_value(postgresql: PostgreSQL, mosquitto: Mosquitto) -> None:
    target = flow.table(postgresql)
    attack = f"'); drop table {target}; --"
    what = config.Config(resources=(flow.resource(postgresql),), rules=(flow.rule(target),))
    async with flow.running(flow.broker(mosquitto), what):
        await asyncio.to_thread(flow.publish, mosquitto, [("sensors/1", {"device": attack, "temp": 30})])
        await flow.eventually(lambda: flow.devices(postgresql, target) == [attack], "the row")


async def test_a_poison_row_goes_to_the_dead_letters(
    postgresql: PostgreSQL, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    target = flow.table(postgresql, "device text primary key, temp int not null, ts bigint")
    what = config.Config(resources=(flow.resource(postgresql),), rules=(flow.rule(target),))
    messages = flow.numbered(400)
    messages[100] = ("sensors/x", {"device": "fraction", "temp": 20.5})  # found by us: 20.5 is no whole number
    messages[200] = ("sensors/x", {"device": "d21", "temp": 30})  # found by the database: the key is there already
    async with flow.running(flow.broker(mosquitto), what, tmp_path) as pipeline:
        await asyncio.to_thread(flow.publish, mosquitto, messages)
        expected = sorted(set(flow.wanted(400)) - {"d100", "d200"})
        await flow.eventually(lambda: flow.devices(postgresql, target) == expected, "the good rows")
        await flow.eventually(lambda: len(pipeline.dead_letters) == 2, "both letters")
        letters = {letter.message["topic"] + letter.error[:8]: letter for letter in pipeline.dead_letters.list()}
        assert sorted(letters) == ["sensors/xa number", "sensors/xduplicat"]
        assert letters["sensors/xduplicat"].error.endswith('_pkey": Key (device)=(d21) already exists.')
        assert pipeline.metrics()["actions"]["r"]["write"]["failed"] == 2
        await flow.eventually(lambda: pipeline.status()["resources"]["pg"]["pending"] == 0, "everything acknowledged")
    assert len((tmp_path / "dead-letters.jsonl").read_bytes().splitlines()) == 2


async def test_a_message_that_the_rule_cannot_use_is_kept(postgresql: PostgreSQL, mosquitto: Mosquitto) -> None:
    target = flow.table(postgresql)
    selecting = 'SELECT payload.device as device, payload.temp as temp, timestamp FROM "sensors/#"'
    what = config.Config(resources=(flow.resource(postgresql),), rules=(flow.rule(target, sql=selecting),))
    async with flow.running(flow.broker(mosquitto), what) as pipeline:
        await asyncio.to_thread(flow.publish, mosquitto, [("sensors/1", b"online"), ("sensors/1", {"device": "a"})])
        await flow.eventually(lambda: flow.devices(postgresql, target) == ["a"], "the good row")
        assert [letter.message["payload"] for letter in pipeline.dead_letters.list()] == ["online"]
        assert pipeline.metrics()["rules"]["r"]["failed.exception"] == 1


async def test_who_published_cannot_be_forged(postgresql: PostgreSQL, mosquitto: Mosquitto) -> None:
    """The broker here has no plugin, so the pairs that a plugin would append are sent as such: the last ones count."""
    target = flow.table(postgresql, "client text, account text")
    insert = "insert into {table}(client, account) values (${{clientid}}, ${{username}})"
    sql = 'SELECT clientid, username FROM "sensors/#"'
    what = config.Config(resources=(flow.resource(postgresql),), rules=(flow.rule(target, sql, insert),))
    properties = flow.user_properties(("username", "admin"), ("clientid", "forged"), ("clientid", "real"))

    def send() -> None:
        with flow.Device(mosquitto) as device:
            device.publish("sensors/1", {}, properties)

    async with flow.running(flow.broker(mosquitto), what), flow.running(flow.broker(mosquitto, origin=False), what):
        await asyncio.to_thread(send)
        rows = f"select client, account from {target} order by client"
        await flow.eventually(lambda: len(postgresql.execute(rows)) == 2, "a row from each")
        assert postgresql.execute(rows) == [("real", None), (None, None)]


async def test_rules_change_without_losing_messages(postgresql: PostgreSQL, mosquitto: Mosquitto) -> None:
    first, second = flow.table(postgresql), flow.table(postgresql)
    database = flow.resource(postgresql)
    before = config.Config(version=1, resources=(database,), rules=(flow.rule(first),))
    after = config.Config(version=2, resources=(database,), rules=(flow.rule(second),))
    async with flow.running(flow.broker(mosquitto), before) as pipeline:
        messages = flow.numbered(4000)
        publishing = asyncio.create_task(asyncio.to_thread(flow.publish, mosquitto, messages[:3000]))
        await flow.eventually(lambda: bool(flow.devices(postgresql, first)), "first rows")
        await pipeline.apply(after)
        await asyncio.to_thread(flow.publish, mosquitto, messages[3000:])
        await publishing
        expected = flow.wanted(4000)

        def arrived() -> list[str]:
            return sorted(flow.devices(postgresql, first) + flow.devices(postgresql, second))

        await flow.eventually(lambda: len(arrived()) >= len(expected), "all rows")
        assert arrived() == expected
        assert flow.devices(postgresql, second)


async def test_a_rule_that_cannot_run_leaves_the_others_alone(postgresql: PostgreSQL, mosquitto: Mosquitto) -> None:
    target = flow.table(postgresql)
    broken = flow.rule(target, sql='SELECT payload.device as device FROM "sensors/#"', id="broken")
    what = config.Config(resources=(flow.resource(postgresql),), rules=(broken, flow.rule(target)))
    async with flow.running(flow.broker(mosquitto), what) as pipeline:
        assert pipeline.status()["rules"]["broken"]["status"] == "failed"
        assert "'temp'" in pipeline.status()["rules"]["broken"]["reason"]
        await asyncio.to_thread(flow.publish, mosquitto, [("sensors/1", {"device": "a", "temp": 30})])
        await flow.eventually(lambda: flow.devices(postgresql, target) == ["a"], "the row of the other rule")
