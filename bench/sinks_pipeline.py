"""Our pipeline as a process that writes to MySQL or Redis.

python bench/sinks_pipeline.py mysql|redis BROKER_PORT DATABASE_PORT
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import uvloop

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from bench.integration_pipeline import INSERT, RULE  # noqa: E402

from tieline.integration.config.shapes import Action, Broker, Config, Resource, Rule, Sql  # noqa: E402
from tieline.integration.sinks.mysql.sink import MySQL  # noqa: E402
from tieline.integration.sinks.redis.servers import Redis  # noqa: E402
from tieline.integration.sinks.redis.sink import RedisCommand  # noqa: E402
from tieline.integration.worker.pipeline import Pipeline  # noqa: E402

COMMAND = "HSET m:${ts} device ${device} temp ${temp} topic ${topic}"


def chosen(kind: str, port: int) -> tuple[Resource, Action]:
    """The resource, and what is done with it."""
    login: dict[str, Any] = {"username": "app", "password": "app-secret"}
    if kind == "mysql":
        return MySQL(id="d", server=f"127.0.0.1:{port}", database="app", **login), Sql(id="w", resource="d", sql=INSERT)
    redis = Redis(id="d", servers=f"127.0.0.1:{port}", **login)
    return redis, RedisCommand(id="w", resource="d", command_template=COMMAND)


async def main(kind: str, broker: int, database: int) -> None:
    resource, action = chosen(kind, database)
    rule = Rule(id="r", sql=RULE, actions=(action,))
    what = Config(resources=(resource,), rules=(rule,))
    pipeline = Pipeline(Broker(host="127.0.0.1", port=broker, client_id="pipeline"), what)
    running = asyncio.create_task(pipeline.run())
    await asyncio.sleep(0)
    await pipeline.ready()
    print("ready", flush=True)
    await running


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
