"""One reconciliation per key at a time; what is woken meanwhile runs once more; a bad item holds up nobody."""

from __future__ import annotations

import asyncio

import pytest

from tieline.base import reconciler
from tieline.base.reconciler import Reconciler


async def test_wakes_are_coalesced() -> None:
    runs: list[str] = []
    gate = asyncio.Event()

    async def reconcile(key: str) -> None:
        runs.append(key)
        await gate.wait()

    there = Reconciler("test", reconcile)
    there.wake("a")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for _ in range(5):
        there.wake("a")
    gate.set()
    await _until_idle(there)
    assert runs == ["a", "a"]


async def test_a_bad_item_is_tried_again_and_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reconciler, "FIRST_RETRY", 0.001)
    runs: list[str] = []

    async def reconcile(key: str) -> None:
        runs.append(key)
        if key == "bad" and runs.count("bad") < 3:
            raise RuntimeError("no")

    there = Reconciler("test", reconcile)
    there.wake("bad")
    there.wake("good")
    await _until_idle(there)
    assert (runs.count("bad"), runs.count("good")) == (3, 1)
    assert "no" in caplog.text


async def test_a_delay_is_another_look() -> None:
    runs: list[str] = []

    async def reconcile(key: str) -> float | None:
        runs.append(key)
        return 0.001 if len(runs) < 3 else None

    there = Reconciler("test", reconcile)
    there.wake("a")
    await _until_idle(there)
    assert len(runs) == 3


async def test_closing_ends_what_runs() -> None:
    ended = asyncio.Event()

    async def reconcile(key: str) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.set()

    there = Reconciler("test", reconcile)
    there.wake("a")
    await asyncio.sleep(0.01)
    await there.close()
    assert ended.is_set()


async def _until_idle(there: Reconciler) -> None:
    async with asyncio.timeout(30):
        while there._tasks:
            await asyncio.sleep(0.001)
