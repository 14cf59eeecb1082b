"""Our pipeline as a process, with the rule that is measured.

python bench/integration_pipeline.py PORT SERVER USER PASSWORD DATABASE [RULES]
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from tieline.integration.config import Broker, Config, PostgreSQL, Rule, Sql
from tieline.integration.pipeline import Pipeline

RULE = (
    "SELECT payload.id as device, payload.temp as temp, payload.ts as ts, topic "
    'FROM "t/#" WHERE payload.temp >= 20 and payload.ts >= 0'
)
INSERT = "insert into m(device, temp, ts, topic) values (${device}, ${temp}, ${ts}, ${topic})"


def configuration(server: str, user: str, password: str, database: str, rules: int) -> Config:
    """The rule, and others that match nothing."""
    resource = PostgreSQL(id="pg", server=server, username=user, password=password, database=database)
    action = Sql(id="write", resource="pg", sql=INSERT)
    others = [Rule(id=f"r{n}", sql=RULE.replace("t/#", f"other/{n}/#"), actions=(action,)) for n in range(1, rules)]
    return Config(resources=(resource,), rules=(Rule(id="r0", sql=RULE, actions=(action,)), *others))


async def main(port: int, login: list[str], rules: int) -> None:
    broker = Broker(host="127.0.0.1", port=port, client_id="pipeline")
    server, user, password, database = login
    pipeline = Pipeline(broker, configuration(server, user, password, database, rules))
    running = asyncio.create_task(pipeline.run())
    await asyncio.sleep(0)
    await pipeline.ready()
    print("ready", flush=True)
    await running


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2:6], int(sys.argv[6]) if len(sys.argv) > 6 else 1))
