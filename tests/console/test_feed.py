"""How pages are told: a feed reads once for all of them, misses nothing, and is stopped by none; what they share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tieline.base.change_signal import Pulse
from tieline.console.live.feed import Feed, shared
from tieline.console.live.snapshot import Snapshot


async def test_a_feed_reads_once_for_all_pages_and_pushes_only_what_changed() -> None:
    state, reads = ["a"], 0

    def read() -> str:
        nonlocal reads
        reads += 1
        return state[0]

    feed: Feed[str] = Feed(read, 0.01)
    await feed.first()
    seen: dict[int, list[str]] = {n: [] for n in range(50)}
    for page, told in seen.items():
        feed.join(page, told.append)
    before = reads
    await asyncio.sleep(0.1)
    assert reads - before < 20
    assert not any(seen.values())
    state[0] = "b"
    async with asyncio.timeout(30):
        while not all(told == ["b"] for told in seen.values()):
            await asyncio.sleep(0.01)
    for page in seen:
        feed.leave(page)


async def test_a_feed_with_a_pulse_reads_when_it_beats_and_hardly_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Feed, "LONGEST", 60.0)
    state, reads, told, pulse = ["a"], 0, list[str](), Pulse()

    def read() -> str:
        nonlocal reads
        reads += 1
        return state[0]

    async def until_told(text: str) -> None:
        async with asyncio.timeout(30):
            while told[-1:] != [text]:
                await asyncio.sleep(0.01)

    feed: Feed[str] = Feed(read, 0.01, pulse)
    await feed.first()
    feed.join(1, told.append)
    state[0] = "b"
    await until_told("b")  # what happened while nobody listened
    await asyncio.sleep(0.1)
    assert reads == 2
    for text, wake in (("c", pulse.beat), ("d", feed.hurry)):
        state[0] = text
        wake()
        await until_told(text)
    assert reads == 4
    feed.leave(1)


async def test_what_happens_while_nobody_listens_is_read_when_a_page_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Feed, "LONGEST", 60.0)
    state, told, pulse = ["a"], list[str](), Pulse()
    feed: Feed[str] = Feed(lambda: state[0], 0.01, pulse)
    for page, text in enumerate("bcd"):
        await feed.first()
        state[0] = text
        pulse.beat()
        feed.join(page, told.append)
        async with asyncio.timeout(30):
            while told[-1:] != [text]:
                await asyncio.sleep(0.01)
        feed.leave(page)
        pulse.beat()
        async with asyncio.timeout(30):
            while any(task.get_name() == "feed" for task in asyncio.all_tasks()):
                await asyncio.sleep(0.01)


async def test_a_page_that_fails_and_a_reader_that_fails_stop_nobody_else() -> None:
    answers: Iterator[int | OSError] = iter([1, OSError("gone"), 2])
    told: list[int] = []

    def read() -> int:
        answer = next(answers, 3)
        if isinstance(answer, OSError):
            raise answer
        return answer

    def broken(_: int) -> None:
        raise RuntimeError("this page is gone")

    feed: Feed[int] = Feed(read, 0.01)
    await feed.first()
    feed.join(1, broken)
    feed.join(2, told.append)
    async with asyncio.timeout(30):
        while told[-1:] != [3]:
            await asyncio.sleep(0.01)
    feed.leave(2)


def test_what_pages_share_is_worked_out_once_for_a_state_and_stays_the_same_object_while_equal() -> None:
    asked: list[str] = []

    @shared
    def names(state: Snapshot, end: str) -> list[str]:
        asked.append(end)
        return [state.problem + end]

    first, second, other = (Snapshot(problem=problem) for problem in "aab")
    end = "!"
    shown = [names(first, end) for _ in range(50)]
    assert len(asked) == 1 and all(one is shown[0] for one in shown)
    assert names(second, end) is shown[0]
    assert names(other, end) == ["b!"]
    assert names(other, "?") == ["b?"]
    assert len(asked) == 4
