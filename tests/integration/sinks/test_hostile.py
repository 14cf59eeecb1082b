"""Any text whatever, through every sink that writes statements or lines, and back from the real server."""

from __future__ import annotations

import random
import sys

import pytest

from databases import ClickHouse, InfluxDB, MariaDB, Redis
from integration.sinks import test_clickhouse, test_influxdb, test_mysql, test_redis
from integration.sinks.trying import write
from integration.world.flow import unique

pytestmark = pytest.mark.world

#: What ends, begins or escapes something in SQL, line protocol, RESP or a template.
SPECIAL = "'\"\\`;,=(){}$?#%-/* \n\r\t\0:é日😀"
SEED = 20240607


def texts(count: int, without: str = "") -> list[str]:
    """Texts of special characters, some with others among them; the same in every run."""
    chosen = random.Random(SEED)
    letters = [character for character in SPECIAL * 3 + "abcx1" if character not in without]
    found = ["".join(chosen.choices(letters, k=chosen.randrange(1, 12))) for _ in range(count)]
    plain = [chr(chosen.randrange(1, sys.maxunicode)) for _ in range(count)]
    return [*found, *(one for one in plain if one not in without and not 0xD800 <= ord(one) < 0xE000)]


async def test_mysql_keeps_every_text(mariadb: MariaDB) -> None:
    target = test_mysql.table(mariadb, "n int, a text")
    wanted = list(enumerate(texts(500)))
    sql = f"insert into {target}(n, a) values (${{n}}, '${{a}}')"
    await write(test_mysql.resource(mariadb), test_mysql.action(sql), [{"n": n, "a": text} for n, text in wanted])
    assert mariadb.execute(f"select n, a from {target} order by n") == wanted


async def test_clickhouse_keeps_every_text(clickhouse: ClickHouse) -> None:
    target = test_clickhouse.table(clickhouse, "n Int32, a String")
    wanted = [[n, text] for n, text in enumerate(texts(500))]
    sql = f"insert into {target}(n, a) values (${{n}}, ${{a}})"
    outputs = [{"n": n, "a": text} for n, text in wanted]
    await write(test_clickhouse.resource(clickhouse), test_clickhouse.action(sql), outputs)
    assert clickhouse.execute(f"select n, a from {target} order by n") == wanted


async def test_redis_keeps_every_text(redis: Redis) -> None:
    key, wanted = unique("k"), texts(500)
    await write(test_redis.resource(redis), test_redis.action(f"RPUSH {key} ${{a}}"), [{"a": text} for text in wanted])
    assert redis.execute("LRANGE", key, "0", "-1") == wanted


async def test_influxdb_keeps_every_text_in_fields_and_in_tags(influxdb: InfluxDB) -> None:
    name = unique("m")
    wanted = [text for text in texts(500, without="\n\r\0") if not text.endswith("\\")]
    outputs = [{"n": n, "a": text} for n, text in enumerate(wanted)]
    line = test_influxdb.action(f"{name},a=${{a}} n=${{n}}i,b=${{a}}")
    await write(test_influxdb.resource(influxdb), line, outputs)
    found = {int(row["n"]): (row["a"], row["b"]) for row in influxdb.execute(f"select n, a, b from {name}")}
    assert found == {n: (text, text) for n, text in enumerate(wanted)}
