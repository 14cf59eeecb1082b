"""How fast rows go on while the database refuses some of them: each is in, or a letter on disk, before the next figure.

python bench/refusals.py [--count 20000] [--seconds 20] [--json FILE]

Rows go straight into a batch writer and from there into a real PostgreSQL, MariaDB, Redis and ClickHouse here; the
refused ones, spread at random by a fixed seed, become letters on disk. Where every row is refused none becomes a letter
beyond the first few: what is measured then is how many are tried in a second, and that all the others are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "tests")]

from databases import ClickHouse, MariaDB, Redis  # noqa: E402
from servers import PostgreSQL  # noqa: E402
from tieline.integration.config import shapes as config  # noqa: E402
from tieline.integration.delivery.batcher import Batcher, Buried  # noqa: E402
from tieline.integration.delivery.dead_letters import DeadLetters, letter  # noqa: E402
from tieline.integration.messages.message import Message  # noqa: E402
from tieline.integration.sinks import Action, Resource, open_sink  # noqa: E402
from tieline.integration.sinks.clickhouse.sink import ClickHouse as ClickHouseResource  # noqa: E402
from tieline.integration.sinks.mysql.sink import MySQL  # noqa: E402
from tieline.integration.sinks.redis.servers import Redis as RedisResource  # noqa: E402
from tieline.integration.sinks.redis.sink import RedisCommand  # noqa: E402
from tieline.integration.sinks.sql.sql import Sql  # noqa: E402

SHARES: Final = (0.0, 0.01, 0.1, 0.5, 1.0)
GOALS: Final = {0.01: 5_000, 0.5: 1_000}  # rows/s
SEED: Final = 20240607
INSERT: Final = "insert into m(n, v) values (${n}, ${v})"
GOOD, BAD = 1, "no number"


def place(server: Any) -> tuple[Resource, Action]:
    """An empty table of a server, which takes numbers, and the way into it."""
    known: dict[str, Any] = {"id": "d", "username": server.user, "password": server.password}
    sql = Sql(id="a", resource="d", sql=INSERT)
    match server:
        case PostgreSQL():
            server.execute("drop table if exists m; create table m(n bigint, v text check (v = '1'))")
            return config.PostgreSQL(server=server.server, database=server.database, **known), sql
        case MariaDB():
            server.execute("drop table if exists m")
            server.execute("create table m(n bigint, v varchar(20) check (v = '1'))")
            return MySQL(server=server.server, database=server.database, **known), sql
        case ClickHouse():
            server.execute("drop table if exists m")
            server.execute("create table m(n Int64, v Int32) engine = MergeTree() order by n")
            return ClickHouseResource(url=server.url, database=server.database, **known), sql
    server.execute("FLUSHALL")
    command = RedisCommand(id="a", resource="d", command_template="INCRBY k${n} ${v}")
    return RedisResource(servers=server.server, **known), command


def rows_of(server: Any) -> int:
    """How many rows are in."""
    return int(
        server.execute("DBSIZE") if isinstance(server, Redis) else server.execute("select count(*) from m")[0][0]
    )


async def measured(server: Any, share: float, count: int, seconds: float) -> dict[str, float]:
    """Rows per second with so large a share refused, and what became of them."""
    resource, action = place(server)
    chosen, sink = random.Random(SEED), open_sink(resource)
    done = 0

    def finish(messages: Sequence[Message]) -> None:
        nonlocal done
        done += len(messages)

    with tempfile.TemporaryDirectory() as directory:
        letters = DeadLetters(Path(directory), limit=count)

        def bury(rows: Sequence[Buried]) -> None:
            known: dict[int, Any] = {}
            letters.add([letter(message, "r", "a", why, 0, output, known) for output, message, why in rows])

        one = Batcher(action, sink.writer(action), finish, bury, time.time)
        running = asyncio.create_task(one.run())
        now = int(time.time() * 1000)
        items: list[Any] = [
            ({"n": n, "v": BAD if chosen.random() < share else GOOD}, Message("t", b"x" * 50, timestamp=now))
            for n in range(count)
        ]
        began = time.perf_counter()
        one.add(items, 50 * count)
        while done < count and time.perf_counter() - began < seconds:
            await asyncio.sleep(0.005)
        took = time.perf_counter() - began
        tried = done if share < 1 else one.metrics.retried + len(letters)
        running.cancel()
        await sink.close()
        found = {"rows_per_second": tried / took, "letters": len(letters), "kept": count - done}
        return found | {"written": rows_of(server), "lost": done - len(letters) - rows_of(server)}


def tell(kind: str, share: float, found: dict[str, float]) -> None:
    """A line for a figure."""
    goal = GOALS.get(share)
    mark = "" if goal is None else f"  ≥ {goal:,} {'✓' if found['rows_per_second'] >= goal else '✗'}"
    rest = "".join(f"{found[name]:>9,.0f}" for name in ("written", "letters", "kept", "lost"))
    print(f"{kind:12}{share:>8.0%}{found['rows_per_second']:>10,.0f}{rest}{mark}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="at most, for each figure")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result: dict[str, dict[str, dict[str, float]]] = {}
    print(f"{'':12}{'refused':>8}{'rows/s':>10}{'written':>9}{'letters':>9}{'kept':>9}{'lost':>9}")
    for kind in (PostgreSQL, MariaDB, Redis, ClickHouse):
        with kind() as server:
            for share in SHARES:
                found = asyncio.run(measured(server, share, options.count, options.seconds))
                result.setdefault(kind.__name__, {})[str(share)] = found
                tell(kind.__name__, share, found)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
