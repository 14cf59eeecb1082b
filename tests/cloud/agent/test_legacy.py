"""Letters stay in sight, and may be replayed, however many processes work from one moment to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from integration.world import flow
from servers import START_SECONDS, Mosquitto
from tieline.agent.brokers.settings import Remote
from tieline.agent.protocol import Configure, Request
from tieline.agent.worker import Worker
from tieline.integration.config import shapes as config
from tieline.integration.worker import messages

SQL = 'SELECT payload.temp + 1 as temp FROM "in/#"'


@pytest.fixture
def mosquitto() -> Iterator[Mosquitto]:
    with Mosquitto() as server:
        yield server


def wanted(server: Mosquitto, version: int, workers: int) -> Configure:
    rule = config.Rule(id="r", sql=SQL, actions=(config.Republish(id="say", topic="out", payload="${temp}"),))
    there = Remote(host="127.0.0.1", port=server.port)
    return Configure(config=config.Config(version=version, rules=(rule,)), broker=there, workers=workers)


async def letters(worker: Worker) -> list[str]:
    answered = await worker.perform(Request(id="q", asked=messages.Letters(id=0)))
    assert answered.answer is not None, answered.error
    return sorted(letter.id for letter in answered.answer.letters)


async def until(worker: Worker, expected: list[str] | int) -> list[str]:
    async with asyncio.timeout(START_SECONDS):
        while (found := await letters(worker)) != expected and len(found) != expected:
            await asyncio.sleep(0.05)
    return found


async def test_letters_follow_the_number_of_processes(mosquitto: Mosquitto, tmp_path: Path) -> None:
    worker = Worker(tmp_path, lambda: None)
    known: list[str] = []
    try:
        for version, workers in enumerate((1, 3, 2, 1, 2), 1):
            await worker.configure(wanted(mosquitto, version, workers))
            async with asyncio.timeout(START_SECONDS):
                while (await worker.report()).applied != version:
                    await asyncio.sleep(0.02)
            await until(worker, known)
            await asyncio.to_thread(flow.publish, mosquitto, [("in/1", {"temp": [n]}) for n in range(6)])
            known = await until(worker, 6 * version)
    finally:
        await worker.close()
    worker = Worker(tmp_path, lambda: None)  # as after a restart, with fewer processes than before
    try:
        await worker.configure(wanted(mosquitto, 9, 1))
        await until(worker, known)
    finally:
        await worker.close()
