"""A pipeline as a process of its own, for tests that kill it: reads config.json in the directory that is given."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
import uvloop

from tieline.integration.config.shapes import Broker, Config
from tieline.integration.worker.pipeline import Pipeline


class Setting(msgspec.Struct):
    """The content of config.json."""

    broker: Broker
    config: Config


async def main(directory: Path) -> None:
    setting = msgspec.json.decode((directory / "config.json").read_bytes(), type=Setting)
    pipeline = Pipeline(setting.broker, setting.config, directory)
    running = asyncio.create_task(pipeline.run())
    await asyncio.sleep(0)
    await pipeline.ready()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await running


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
