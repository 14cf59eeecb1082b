"""Each message is one row where that is asked for, however often its processes are killed between write and answer."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from databases import MariaDB
from integration.world import flow
from servers import Mosquitto, PostgreSQL, private_directory
from tieline.agent.brokers.origin import build
from tieline.integration.config import shapes as config
from tieline.integration.sinks.base.failures import Rejected
from tieline.integration.sinks.mysql.once import TAKEN
from tieline.integration.sinks.mysql.sink import MySQL, MySQLSink
from tieline.integration.sinks.sql.once import COLUMN, once
from tieline.integration.sinks.sql.parentheses import closing
from tieline.integration.worker.probe import probe

pytestmark = pytest.mark.world
RUNNER = Path(__file__).with_name("run_pipeline.py")
ARRAY = 'FOREACH payload.all as e DO e.n as n FROM "many/#"'


@pytest.fixture(scope="module")
def telling() -> Iterator[Mosquitto]:
    """A broker with the plugin that gives messages their ids."""
    directory = private_directory()
    plugin, missing = asyncio.run(build(directory))
    assert plugin is not None, missing
    plugin.chmod(0o755)
    rights = directory / "rights"
    rights.write_text("topic readwrite #\n")  # the plugin leaves it to others who may do what
    rights.chmod(0o644)
    with Mosquitto(f"plugin {plugin}", f"acl_file {rights}") as broker:
        yield broker


def start(directory: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, str(RUNNER), str(directory)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture
async def mortal(tmp_path: Path) -> AsyncIterator[list[subprocess.Popen[str]]]:
    """Pipelines as processes, which a test starts and kills."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


async def test_a_killed_process_doubles_no_row(
    postgresql: PostgreSQL, telling: Mosquitto, tmp_path: Path, mortal: list[subprocess.Popen[str]]
) -> None:
    target = flow.table(postgresql)
    action = config.Sql(id="write", resource="pg", sql=flow.INSERT.format(table=target), exactly_once=True)
    rule = config.Rule(id="r", sql=flow.SQL, actions=(action,))
    what = config.Config(resources=(flow.resource(postgresql),), rules=(rule,))
    setting = {"broker": flow.broker(telling), "config": what}
    (tmp_path / "config.json").write_bytes(msgspec.json.encode(setting))
    mortal.append(await asyncio.to_thread(start, tmp_path))
    publishing = asyncio.create_task(asyncio.to_thread(flow.publish, telling, flow.numbered(8000)))
    for rows in (200, 1000, 2000):
        await flow.eventually(lambda: len(flow.devices(postgresql, target)) > rows, "more rows")  # noqa: B023
        os.kill(mortal[-1].pid, signal.SIGKILL)
        mortal.append(await asyncio.to_thread(start, tmp_path))
    await publishing
    await flow.eventually(lambda: len(set(flow.devices(postgresql, target))) == len(flow.wanted(8000)), "every row")
    await asyncio.sleep(0.5)
    assert flow.devices(postgresql, target) == flow.wanted(8000)


async def test_every_row_of_a_message_has_an_id(postgresql: PostgreSQL, telling: Mosquitto) -> None:
    target = flow.table(postgresql, "n int")
    sql = f"insert into {target}(n) values (${{n}}::int + 1)"
    actions = (
        config.Sql(id="write", resource="pg", sql=sql, exactly_once=True),
        config.Republish(id="say", topic="said", payload="${.}"),
    )
    what = config.Config(
        resources=(flow.resource(postgresql),), rules=(config.Rule(id="r", sql=ARRAY, actions=actions),)
    )
    async with flow.running(flow.broker(telling), what) as pipeline:
        message = {"all": [{"n": n} for n in (5, 5, 7)]}
        await asyncio.to_thread(flow.publish, telling, [("many/1", message)] * 2)
        await flow.eventually(lambda: len(postgresql.execute(f"select n from {target}")) == 6, "rows")
        assert Counter(row[0] for row in postgresql.execute(f"select n from {target}")) == {6: 4, 8: 2}
        assert len(postgresql.execute(f"select distinct {COLUMN} from {target}")) == 6
        assert pipeline.metrics()["actions"]["r"]["say"]["failed"] == 0


async def test_mariadb_takes_each_row_once() -> None:
    with MariaDB() as database:
        database.execute("create table t(device text)")
        action = config.Sql(
            id="write", resource="my", sql="insert into t(device) values (${device})", exactly_once=True
        )
        resource = MySQL(
            id="my",
            server=database.server,
            database=database.database,
            username=database.user,
            password=database.password,
        )
        await probe(resource, (action,))
        sink = MySQLSink(resource)
        for start in (0, 250):  # the second half of the first write comes again
            rows = range(start, start + 500)
            await sink.writer(action).write([{"device": f"d{n}", COLUMN: f"id-{n}"} for n in rows])
        await sink.close()
        await asyncio.sleep(0.05)  # the connections end
        found = [row[0] for row in database.execute("select device from t")]
        assert sorted(found) == sorted(f"d{n}" for n in range(750))


async def test_two_actions_with_one_table_write_a_row_each(postgresql: PostgreSQL, telling: Mosquitto) -> None:
    """The message is the same, the rows are not."""
    target = flow.table(postgresql, "name text, value float8")
    actions = tuple(
        config.Sql(
            id=name,
            resource="pg",
            sql=f"insert into {target}(name, value) values ('{name}', ${{{name}}})",
            exactly_once=True,
        )
        for name in ("temp", "hum")
    )
    sql = 'SELECT payload.temp as temp, payload.hum as hum FROM "two/#"'
    rules = tuple(config.Rule(id=id, sql=sql, actions=actions) for id in ("r", "s"))
    what = config.Config(resources=(flow.resource(postgresql),), rules=rules)
    async with flow.running(flow.broker(telling), what):
        await asyncio.to_thread(flow.publish, telling, [("two/1", {"temp": 21, "hum": 60})])
        await flow.eventually(lambda: len(postgresql.execute(f"select name from {target}")) == 4, "a row of each")
        found = Counter(row[0] for row in postgresql.execute(f"select name from {target}"))
        assert found == {"temp": 2, "hum": 2}


async def test_mariadb_takes_no_row_for_another_that_has_the_same_key() -> None:
    """`on duplicate key` means every unique column; and a column of ours that is not unique is made so."""
    with MariaDB() as database:
        resource = MySQL(
            id="my",
            server=database.server,
            database=database.database,
            username=database.user,
            password=database.password,
        )
        database.execute(f"create table t(k int primary key, {COLUMN} varchar(64))")
        action = config.Sql(id="a", resource="my", sql="insert into t(k) values (${k})", exactly_once=True)
        sink = MySQLSink(resource)
        try:
            rows = [{"k": n, COLUMN: f"id-{n}"} for n in range(40)]
            await sink.writer(action).write(rows)
            with pytest.raises(Rejected) as caught:
                await sink.writer(action).write([*rows, {"k": 50, COLUMN: "id-50"}, {"k": 7, COLUMN: "other"}])
            assert caught.value.rows == {41: TAKEN}
            await sink.writer(action).write([*rows, {"k": 50, COLUMN: "id-50"}])
        finally:
            await sink.close()
        assert database.execute(f"select k, {COLUMN} from t order by k") == [(n, f"id-{n}") for n in (*range(40), 50)]


async def test_a_test_changes_nothing(postgresql: PostgreSQL) -> None:
    target = flow.table(postgresql)
    action = config.Sql(id="write", resource="pg", sql=flow.INSERT.format(table=target), exactly_once=True)
    await probe(flow.resource(postgresql), (action,))
    columns = "select column_name from information_schema.columns where table_name = '{}'"
    assert (COLUMN,) not in postgresql.execute(columns.format(target))


async def test_a_broker_without_ids_is_refused(postgresql: PostgreSQL, mosquitto: Mosquitto) -> None:
    target = flow.table(postgresql)
    action = config.Sql(id="write", resource="pg", sql=flow.INSERT.format(table=target), exactly_once=True)
    rule = config.Rule(id="r", sql=flow.SQL, actions=(action,))
    what = config.Config(resources=(flow.resource(postgresql),), rules=(rule,))
    async with flow.running(flow.broker(mosquitto, origin=False), what) as pipeline:
        assert "message ids" in pipeline.status()["rules"]["r"]["reason"]


def test_the_column_is_put_behind_the_others() -> None:
    found = once("INSERT INTO s.t (a, \"b\") VALUES (${a}, f(')', ${b})) ;", closing, "on conflict do nothing")
    column, value = COLUMN, f"${{{COLUMN}}}"
    assert found.table == "s.t"
    wanted = f"INSERT INTO s.t (a, \"b\", {column}) VALUES (${{a}}, f(')', ${{b}}), {value}) on conflict do nothing"
    assert found.sql == wanted
    for other in ("update t set a = ${a}", "insert into t values (${a})", "insert into t(a) values (${a}), (${b})"):
        with pytest.raises(Exception, match="exactly once takes"):
            once(other, closing, "")
