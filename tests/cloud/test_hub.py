"""Agents hear of every change, be it told late, once for many, or after one that could not be told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tieline.agent.protocol import Configure, decode_for_agent
from tieline.cloud.agents import agent_registry as hub
from tieline.cloud.agents.agent_registry import Hub
from tieline.cloud.model.problems import PlatformError
from tieline.integration.config.shapes import Config


class Line:
    """An agent's end of a WebSocket that takes one frame at a time, when it is let."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.versions: list[int] = []

    async def send_text(self, frame: str) -> None:
        await self.ready.wait()
        message = decode_for_agent(frame)
        assert isinstance(message, Configure), message
        self.versions.append(message.config.version)

    async def receive_text(self) -> str:
        await asyncio.Event().wait()
        raise AssertionError("it says nothing")

    async def close(self, code: int) -> None:
        raise AssertionError("nobody leaves")


class World:
    """A hub with an agent; `version` is the present configuration, `broken` whether none can be made."""

    def __init__(self) -> None:
        self.version, self.broken, self.line = 1, False, Line()
        self.hub = Hub(self._configure, lambda *_: None, lambda: None)

    def _configure(self, _: str) -> Configure:
        if self.broken:
            raise RuntimeError("a record that cannot be read")
        return Configure(config=Config(version=self.version), broker=None)

    def change(self) -> None:
        self.version += 1
        self.hub.push("d")

    async def heard(self, version: int) -> None:
        async with asyncio.timeout(30):
            while self.line.versions[-1:] != [version]:
                await asyncio.sleep(0.001)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    line: Any = made.line
    serving = asyncio.create_task(made.hub.serve("d", line))
    await asyncio.sleep(0)
    yield made
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await made.hub.close()


async def test_however_many_changes_wait_for_a_slow_line_one_more_message_tells_them(world: World) -> None:
    await asyncio.sleep(0)
    for _ in range(100):
        world.change()
        await asyncio.sleep(0)
    world.line.ready.set()
    await world.heard(101)
    assert world.line.versions == [1, 101]


async def test_a_configuration_that_cannot_be_made_is_told_in_the_log_and_stops_no_later_one(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.line.ready.set()
    await world.heard(1)
    world.broken = True
    world.change()
    async with asyncio.timeout(30):
        while "a record that cannot be read" not in caplog.text:
            await asyncio.sleep(0.001)
    world.broken = False
    world.change()
    await world.heard(3)


async def test_a_question_that_does_not_even_leave_is_not_waited_for_longer_than_its_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "ANSWER_SECONDS", 0.05)
    async with asyncio.timeout(30):
        with pytest.raises(PlatformError) as refused:
            await world.hub.dial("d", "db.example.com", (5432,), 0.01)
    assert (refused.value.code, refused.value.extra["hop"]) == ("TEST_FAILED", "agent")
    assert "did not answer" in refused.value.message
    world.line.ready.set()
