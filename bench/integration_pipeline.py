"""Our pipeline as a process, with the rule that is measured.

python bench/integration_pipeline.py PORT SERVER USER PASSWORD DATABASE [RULES [broker|disk]]
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import msgspec
import uvloop

from tieline.integration.config.shapes import Broker, Config, PostgreSQL, Rule, Sql
from tieline.integration.worker.pipeline import Pipeline

RULE = (
    "SELECT payload.id as device, payload.temp as temp, payload.ts as ts, topic "
    'FROM "t/#" WHERE payload.temp >= 20 and payload.ts >= 0'
)
INSERT = "insert into m(device, temp, ts, topic) values (${device}, ${temp}, ${ts}, ${topic})"


def configuration(login: list[str], rules: int, buffer: str) -> Config:
    """The rule, and others that match nothing."""
    server, user, password, database = login
    resource = PostgreSQL(id="pg", server=server, username=user, password=password, database=database)
    action = msgspec.convert(
        {
            "kind": "sql",
            "id": "write",
            "resource": "pg",
            "sql": INSERT,
            "buffer_mode": buffer,
            "max_buffer_bytes": 1 << 30,
        },
        Sql,
    )
    others = [Rule(id=f"r{n}", sql=RULE.replace("t/#", f"other/{n}/#"), actions=(action,)) for n in range(1, rules)]
    return Config(resources=(resource,), rules=(Rule(id="r0", sql=RULE, actions=(action,)), *others))


async def main(port: int, login: list[str], rules: int, buffer: str) -> None:
    broker = Broker(host="127.0.0.1", port=port, client_id="pipeline")
    with tempfile.TemporaryDirectory() as directory:
        pipeline = Pipeline(broker, configuration(login, rules, buffer), Path(directory))
        running = asyncio.create_task(pipeline.run())
        await asyncio.sleep(0)
        await pipeline.ready()
        print("ready", flush=True)
        await running


if __name__ == "__main__":
    more = sys.argv[6:]
    uvloop.run(main(int(sys.argv[1]), sys.argv[2:6], int(more[0]) if more else 1, more[1] if more[1:] else "broker"))
