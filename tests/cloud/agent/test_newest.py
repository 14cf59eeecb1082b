"""What is lost, late or broken on the way from a configuration to its report comes right by itself."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from cloud.agent.test_again import applied, wanted
from servers import Mosquitto
from tieline.agent.channel import Channel
from tieline.agent.latest_config import Newest
from tieline.agent.protocol import Carried, Configure, Report, decode_for_platform
from tieline.agent.traffic import Traffic
from tieline.agent.worker import Worker
from tieline.integration.config.shapes import PostgreSQL
from tieline.integration.mqtt.session_store import FILE

SECONDS = 60


@pytest.fixture(scope="module")
def mosquitto() -> Iterator[Mosquitto]:
    with Mosquitto() as server:
        yield server


@pytest.fixture
async def worker(tmp_path: Path) -> AsyncIterator[Worker]:
    made = Worker(tmp_path, lambda: None)
    yield made
    await made.close()


@pytest.fixture
async def newest(worker: Worker) -> AsyncIterator[Newest]:
    made = Newest(worker)
    yield made
    await made.close()


async def error_of(worker: Worker, words: str) -> None:
    async with asyncio.timeout(SECONDS):
        while words not in (await worker.report()).error:
            await asyncio.sleep(0.02)


async def test_what_failed_is_tried_again_without_being_put_again(
    mosquitto: Mosquitto, worker: Worker, newest: Newest, tmp_path: Path
) -> None:
    newest.put(wanted(mosquitto, 1, 1))
    await applied(worker, 1)
    obstacle = (tmp_path / "integration" / FILE).with_suffix(".new")
    obstacle.mkdir()  # subscriptions cannot be written down
    newest.put(wanted(mosquitto, 2, 1))
    await error_of(worker, "IsADirectoryError")
    obstacle.rmdir()
    await applied(worker, 2)
    await error_of(worker, "")
    assert not (await worker.report()).error


async def test_of_several_that_come_meanwhile_the_last_is_applied(
    mosquitto: Mosquitto, worker: Worker, newest: Newest, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    configure = worker.configure

    async def told(message: Configure) -> None:
        seen.append(message.config.version)
        await configure(message)

    monkeypatch.setattr(worker, "configure", told)
    newest.put(wanted(mosquitto, 1, 1))
    async with asyncio.timeout(SECONDS):
        while not seen:
            await asyncio.sleep(0)
    for version in range(2, 20):
        newest.put(wanted(mosquitto, version, 1))
    await applied(worker, 19)
    assert set(seen) == {1, 19}


async def test_a_start_goes_on_with_what_was_last_put(
    mosquitto: Mosquitto, worker: Worker, newest: Newest, tmp_path: Path
) -> None:
    newest.put(wanted(mosquitto, 1, 1))
    await applied(worker, 1)
    await newest.close()
    await worker.close()
    again = Worker(tmp_path, lambda: None)
    going_on = Newest(again)
    going_on.start()
    await applied(again, 1)
    await going_on.close()
    await again.close()


async def test_a_name_that_the_resolver_does_not_answer_for_keeps_no_report_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bytes of its connections are counted once it is known, from the first on."""
    answering, resolve = threading.Event(), socket.getaddrinfo

    def slow(host: Any, *rest: Any, **more: Any) -> Any:
        answering.wait(SECONDS)
        return resolve("127.0.0.1", *rest, **more)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, listening.accept()[0] as there:
            client.sendall(b"x" * 1000)
            assert there.recv(1000, socket.MSG_WAITALL) == b"x" * 1000
            monkeypatch.setattr(socket, "getaddrinfo", slow)
            resources = [PostgreSQL(id="r", server=f"db.example.com:{port}", database="d", username="u")]
            traffic = Traffic()
            await traffic.look(resources, 0.0)
            assert traffic.totals() == {f"db.example.com:{port}": Carried()}
            answering.set()
            async with asyncio.timeout(SECONDS):
                while traffic.totals() != {f"db.example.com:{port}": Carried(1, 1000, 0)}:
                    await asyncio.sleep(0.01)
                    await traffic.look(resources, 1.0)


async def test_a_report_that_cannot_be_made_is_not_the_last(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    reports: asyncio.Queue[Report] = asyncio.Queue()
    report, failing = worker.report, [True]

    async def told() -> Report:
        if failing.pop() if failing else False:
            raise RuntimeError("no such luck")
        return await report()

    async def platform(line: ServerConnection) -> None:
        async for frame in line:
            message = decode_for_platform(frame)
            assert isinstance(message, Report)
            reports.put_nowait(message)

    monkeypatch.setattr(worker, "report", told)
    async with serve(platform, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        channel = Channel(f"http://127.0.0.1:{port}", "token", worker.id, asyncio.Event())
        running = asyncio.create_task(channel.run(worker, Newest(worker)))
        async with asyncio.timeout(SECONDS):
            assert (await reports.get()).applied == -1
        assert not failing
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
