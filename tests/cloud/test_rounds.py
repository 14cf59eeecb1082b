"""A look that fails is logged and keeps nothing from the next one, also where it must find out whom to ask."""

from __future__ import annotations

import asyncio

import pytest

from tieline.base.periodic import rounds
from tieline.cloud.links import sweep
from tieline.cloud.links.sweep import Sweep


async def test_a_failed_look_is_followed_by_another(caplog: pytest.LogCaptureFixture) -> None:
    looks: list[int] = []
    enough = asyncio.Event()

    async def look() -> None:
        looks.append(len(looks))
        if len(looks) == 3:
            enough.set()
        if len(looks) == 1:
            raise RuntimeError("the disk is gone")

    task = asyncio.create_task(rounds("test", look, 0.001))
    async with asyncio.timeout(30):
        await enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caplog.text.count("RuntimeError: the disk is gone") == 1


async def test_the_sweep_survives_an_account_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sweep, "LOOK_SECONDS", 0.001)
    asked = 0
    again = asyncio.Event()

    def accounts() -> dict[object, list[object]]:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise OSError("credentials: no such file")
        again.set()
        return {}

    task = asyncio.create_task(Sweep(accounts, lambda _: None).run())  # type: ignore[arg-type]
    async with asyncio.timeout(30):
        await again.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "no such file" in caplog.text
