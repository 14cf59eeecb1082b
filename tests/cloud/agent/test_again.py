"""A configuration that could not be applied is tried again when the platform puts it again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import Mosquitto
from tieline.cloud.agent.worker import Worker
from tieline.cloud.brokers.settings import Remote
from tieline.cloud.protocol import Configure
from tieline.integration import config
from tieline.integration.memory import FILE


@pytest.fixture(scope="module")
def mosquitto() -> Iterator[Mosquitto]:
    with Mosquitto() as server:
        yield server


def wanted(server: Mosquitto, version: int, workers: int) -> Configure:
    say = config.Republish(id="say", topic="out")
    rule = config.Rule(id="r", sql=f'SELECT * FROM "in/{version}"', actions=(say,))
    there = Remote(host="127.0.0.1", port=server.port)
    return Configure(config=config.Config(version=version, rules=(rule,)), broker=there, workers=workers)


async def applied(worker: Worker, version: int) -> None:
    async with asyncio.timeout(20):
        while (await worker.report()).applied != version:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two processes"])
async def test_what_failed_is_tried_again(mosquitto: Mosquitto, tmp_path: Path, workers: int) -> None:
    worker = Worker(tmp_path, lambda: None)
    try:
        await worker.configure(wanted(mosquitto, 1, workers))
        await applied(worker, 1)
        place = tmp_path / "integration" / ("worker-1" if workers > 1 else "")
        obstacle = (place / FILE).with_suffix(".new")
        obstacle.mkdir()  # subscriptions cannot be written down
        await worker.configure(wanted(mosquitto, 2, workers))
        report = await worker.report()
        assert "IsADirectoryError" in report.error and report.applied == 1
        if workers > 1:
            assert (
                "IsADirectoryError" in report.status.rules["r"].reason and report.status.rules["r"].status == "failed"
            )
        obstacle.rmdir()
        await worker.configure(wanted(mosquitto, 2, workers))
        await applied(worker, 2)
        report = await worker.report()
        assert not report.error and "IsADirectoryError" not in report.status.rules["r"].reason
    finally:
        await worker.close()
