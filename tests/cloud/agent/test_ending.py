"""An agent that is told to end does so in bounded time, whatever it waits for, and no row is lost by it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cloud.brokers.test_broker import Device
from platforms import AgentProcess, PlatformProcess
from servers import PostgreSQL, free_port, wait_until
from tieline.agent.main import END_SECONDS
from tieline.base.shutdown import cancelled

HOST = "127.0.0.1"
PROCESSES = pytest.mark.parametrize("workers", [1, 2], ids=["one process", "two processes"])
SLACK = 3.0  # for the interpreter to start and end on a machine with other work


@contextmanager
def silent() -> Iterator[int]:
    """A port on which connections are accepted and nothing is ever said."""
    with socket.create_server((HOST, 0)) as listening:
        yield listening.getsockname()[1]


def ended(agent: AgentProcess) -> float:
    """Tell an agent to end: the seconds that it took."""
    process, began = agent.process, time.monotonic()
    assert process is not None
    process.send_signal(signal.SIGTERM)
    try:
        status = process.wait(END_SECONDS + SLACK)
    finally:
        agent.kill()
    assert status == 0, agent.log()
    return time.monotonic() - began


def test_while_the_platform_does_not_answer(tmp_path: Path) -> None:
    with silent() as port, AgentProcess(f"http://{HOST}:{port}", "tlj_dep-1_x", tmp_path / "agent") as agent:
        wait_until(lambda: any(agent.state.glob("*")), "its files")
        time.sleep(0.3)  # it has dialled by now, or not yet: both must do
        assert ended(agent) < END_SECONDS


@PROCESSES
def test_while_its_broker_is_not_there(tmp_path: Path, workers: int) -> None:
    """After a restart the port is another's, who accepts connections and says nothing: nothing gets ready."""
    with PlatformProcess(tmp_path / "cloud") as platform:
        client, port = platform.client, free_port()
        mqtt = {"host": HOST, "port": port}
        made = client.create_deployment(name="plant", provider="external", mqtt=mqtt, workers=workers, anonymous=True)
        client.create_rule("plant", name="say", sql='SELECT * FROM "s"', actions=[{"kind": "republish", "topic": "t"}])
        agent = AgentProcess(platform.url, made.join_token, tmp_path / "agent")
        with agent:
            wait_until(lambda: client.deployment("plant").status == "running", "the agent")
        with socket.create_server((HOST, port)), agent:
            wait_until(lambda: client.deployment("plant").agent.connected, "its line")
            assert not client.deployment("plant").agent.broker
            assert ended(agent) < END_SECONDS


@PROCESSES
def test_while_a_write_hangs(tmp_path: Path, workers: int) -> None:
    with PlatformProcess(tmp_path / "cloud") as platform, PostgreSQL() as database:
        client, port = platform.client, free_port()
        mqtt = {"host": HOST, "port": port}
        made = client.create_deployment(name="plant", provider="external", mqtt=mqtt, workers=workers, anonymous=True)
        database.execute("create table warm(n int)")
        known = {"database": database.database, "username": database.user, "password": database.password}
        client.create_resource("plant", name="db", type="postgresql", server=database.server, **known)
        action = {"resource": "db", "sql": "insert into warm values (${n})"}
        client.create_rule("plant", name="warm", sql='SELECT payload.n as n FROM "s"', actions=[action])
        agent = AgentProcess(platform.url, made.join_token, tmp_path / "agent")

        def settled() -> bool:
            found = client.deployment("plant")
            return found.status == "running" and found.agent.applied == found.revision and found.agent.broker

        def written() -> list[int]:
            return sorted(row[0] for row in database.execute("select distinct n from warm"))

        with agent:
            wait_until(settled, "the agent")
            with Device(port) as device:
                device.publish("s", json.dumps({"n": 0}).encode())
                wait_until(lambda: written() == [0], "a first row")
                with stopped(database):
                    for n in range(1, 101):
                        device.publish("s", json.dumps({"n": n}).encode())
                    assert ended(agent) < END_SECONDS
        with agent:
            wait_until(lambda: written() == list(range(101)), "every row")


@contextmanager
def stopped(database: PostgreSQL) -> Iterator[None]:
    """Every process of the server stands still meanwhile: connections stay open, and nobody answers."""
    for _ in range(2):  # those as well that the first made before it stood still
        database.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        database.signal(signal.SIGCONT)


def test_a_task_that_swallows_its_cancellation_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tieline.base.shutdown.AGAIN_SECONDS", 0.05)
    swallowed: list[int] = []

    async def stubborn() -> None:
        while len(swallowed) < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                swallowed.append(1)
        await asyncio.sleep(60)

    async def run() -> None:
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await cancelled(task)
        assert task.cancelled() and len(swallowed) == 2

    asyncio.run(run())


def test_a_process_that_hangs_in_a_thread_ends_all_the_same() -> None:
    program = "import asyncio, time; from tieline.base.shutdown import bound; bound(0.3)\n"
    program += "async def main(): await asyncio.to_thread(time.sleep, 60)\nasyncio.run(main())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, "not ended 0.3 s after it was asked for" in done.stderr) == (1, True)
