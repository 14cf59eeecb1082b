"""Many logins at once: who floods waits, and a right login from elsewhere does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from platforms import PlatformProcess
from tieline.cloud.guard.limits import Untold
from tieline.cloud.guard.passwords import hash_password
from tieline.cloud.guard.records import User
from tieline.cloud.guard.service import Entrance, Login
from tieline.cloud.guard.turns import Crowded, Turns
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.store.repository import Repository
from tieline.store import SQLiteStore

PASSWORD = SecretStr("correct horse battery")
FLOOD = 150


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Repository]:
    made = Repository(SQLiteStore(tmp_path / "cloud.db"))
    yield made
    made.close()


@pytest.mark.parametrize("sources", [1, 8])
async def test_a_right_login_from_elsewhere_is_heard_at_once(records: Repository, sources: int) -> None:
    hash = await hash_password(PASSWORD.get_secret_value(), "")
    records.commit(write=[User(id="u", name="ada", password=hash, created="")])
    entrance = Entrance(records)
    served: list[int] = []

    async def guess(number: int) -> int:
        try:
            await entrance.login(Login(name=f"n{number}", password=PASSWORD), f"198.51.100.{number % sources}")
        except PlatformError as error:
            if error.status == 401:
                served.append(number)
            return error.status
        return 200

    flood = [asyncio.create_task(guess(number)) for number in range(FLOOD)]
    await asyncio.sleep(0)  # all of them stand in line before the right one comes
    user, _ = await entrance.login(Login(name="ada", password=PASSWORD), "192.0.2.77")
    before = len(served)
    told = await asyncio.gather(*flood)
    assert user.name == "ada"
    assert before <= sources + 3  # the two that were being computed, one of each source, and one that ended with it
    assert set(told) == {401, 429}
    assert told.count(401) <= 10 * sources + 2


async def test_turns_go_round_and_no_line_is_longer_than_it_may_be() -> None:
    turns, order, going = Turns(1, of_one=3, of_all=5), list[str](), asyncio.Event()

    async def work(sender: str) -> None:
        try:
            async with turns.turn(sender):
                await going.wait()
                order.append(sender)
        except Crowded:
            order.append(f"not {sender}")

    tasks = []
    for sender in ["a", "aaaa", "b", "b", "c", "c"]:
        for one in sender:
            tasks.append(asyncio.create_task(work(one)))
            await asyncio.sleep(0)
    await asyncio.sleep(0)
    # a's fourth would have made the line too long; its third gave way to c's first; c's second would be no shorter
    assert order == ["not a", "not a", "not c"]
    going.set()
    await asyncio.gather(*tasks)
    assert order[3:] == list("aabcab")


async def test_who_stops_waiting_takes_no_turn_along() -> None:
    turns, going = Turns(1, of_one=3, of_all=5), asyncio.Event()

    async def work(sender: str) -> None:
        async with turns.turn(sender):
            await going.wait()

    tasks = [asyncio.create_task(work(sender)) for sender in "abcb"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    tasks[0].cancel()  # holds the turn
    await asyncio.sleep(0)
    tasks[2].cancel()  # was given it this moment, perhaps
    going.set()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(10), turns.turn("d"):
        pass


def test_what_is_alike_is_told_once_with_its_number() -> None:
    untold = Untold(60.0)
    assert [untold.count("a", now) for now in (0.0, 1.0, 59.0, 60.0, 61.0, 130.0)] == [0, None, None, 2, None, 1]
    assert untold.count("b", 61.0) == 0


async def test_the_platform_answers_others_during_a_flood(tmp_path: Path) -> None:
    with PlatformProcess(tmp_path / "cloud") as platform:
        key = {"Authorization": f"Bearer {platform.key}"}
        limits = httpx.Limits(max_connections=FLOOD + 10)
        async with httpx.AsyncClient(base_url=platform.url, limits=limits, trust_env=False, timeout=60) as http:
            body = {"password": PASSWORD.get_secret_value()}
            flood = [
                asyncio.create_task(http.post("/api/v1/session", json=body | {"name": f"n{number}"}))
                for number in range(FLOOD)
            ]
            slowest = 0.0
            while not all(task.done() for task in flood):
                began = time.monotonic()
                assert (await http.get("/api/v1/session", headers=key)).status_code == 200
                slowest = max(slowest, time.monotonic() - began)
            told = [(await task).status_code for task in flood]
            assert set(told) == {401, 429}
            entries = (await http.get("/api/v1/audit?limit=200", headers=key)).json()["entries"]
            refused = [entry for entry in entries if "TOO_MANY_ATTEMPTS" in entry["action"]]
            assert len(refused) == 1  # not one for each, which would fill the disk
            assert slowest < 5.0
