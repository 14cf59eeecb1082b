"""A configuration that could not be applied is tried again when the platform puts it again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from servers import START_SECONDS, Mosquitto
from tieline.agent import handover
from tieline.agent.brokers.settings import Remote
from tieline.agent.protocol import Configure
from tieline.agent.worker import Worker
from tieline.integration.config import shapes as config
from tieline.integration.mqtt.session_store import FILE
from tieline.integration.worker import process as worker_process
from tieline.integration.worker.workers import Workers


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
    async with asyncio.timeout(START_SECONDS):
        while (await worker.report()).applied != version:
            await asyncio.sleep(0.02)


async def becomes(worker: Worker, server: Mosquitto, workers: int) -> None:
    """The next configuration, on this broker, is applied by so many processes."""
    await worker.configure(wanted(server, 3, workers))
    await applied(worker, 3)
    assert isinstance(worker._pipeline, Workers) == (workers > 1)


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


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)], ids=["to two processes", "to one process"])
async def test_a_new_number_of_processes_that_fails_leaves_those_that_work(
    mosquitto: Mosquitto, tmp_path: Path, numbers: tuple[int, int]
) -> None:
    before, after = numbers
    worker = Worker(tmp_path, lambda: None)
    try:
        await worker.configure(wanted(mosquitto, 1, before))
        await applied(worker, 1)
        works = worker._pipeline
        bad = wanted(mosquitto, 2, after)
        bad = msgspec.structs.replace(bad, config=msgspec.structs.replace(bad.config, metrics_minutes=2**62))
        await worker.configure(bad)
        assert "OverflowError" in (await worker.report()).error
        assert worker._pipeline is works and worker._running is not None and not worker._running.done()
        await becomes(worker, mosquitto, after)
    finally:
        await worker.close()


@pytest.mark.parametrize("numbers", [(1, 2), (2, 1)], ids=["to two processes", "to one process"])
async def test_a_new_number_of_processes_does_not_wait_for_a_broker_that_is_gone(
    mosquitto: Mosquitto, tmp_path: Path, numbers: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever names another broker then is not kept waiting by the one that is away."""
    monkeypatch.setattr(handover, "READY_SECONDS", 1.0)
    monkeypatch.setattr(handover, "DISMISS_SECONDS", 0.5)
    monkeypatch.setattr(worker_process, "DISMISS_SECONDS", 0.5)
    before, after = numbers
    worker = Worker(tmp_path, lambda: None)
    try:
        with Mosquitto() as gone:
            await worker.configure(wanted(gone, 1, before))
            await applied(worker, 1)
            works = worker._pipeline
        async with asyncio.timeout(60):
            await worker.configure(wanted(gone, 2, after))
        assert "the broker has not confirmed the subscriptions" in (await worker.report()).error
        assert worker._pipeline is works and worker._running is not None and not worker._running.done()
        await becomes(worker, mosquitto, after)
    finally:
        await worker.close()
