"""What somebody without a session can make the console do: nothing that is kept."""

from __future__ import annotations

import asyncio
import configparser
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from platforms import FabricProcess, PlatformProcess

ASKED = 300
PEOPLE = 60


class Console(PlatformProcess):
    """The platform with its pages."""

    def command(self) -> list[str]:
        return [word.replace("tieline.cloud", "tieline.console") for word in super().command()]

    def memory(self) -> int:
        """Resident KiB of the process."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with Console(tmp_path_factory.mktemp("console") / "cloud") as running:
        yield running


@pytest.mark.parametrize(
    "path", ["/console/none", "/console/_nicegui/none", "/console/sign-in/none", "/console/favicon"]
)
def test_what_is_not_there_costs_a_few_bytes(console: Console, path: str) -> None:
    with httpx.Client(base_url=console.url, trust_env=False, timeout=60) as http:
        http.get(path)
        before = console.memory()
        for number in range(ASKED):
            answer = http.get(f"{path}{number}")
            assert answer.status_code in (303, 404)
            assert len(answer.content) < 200
    assert console.memory() - before < 4096


def test_a_page_that_is_not_there_is_told_to_who_is_signed_in(console: Console) -> None:
    with httpx.Client(base_url=console.url, trust_env=False, timeout=60) as http:
        assert http.post("/console/sign-in", data={"key": console.key}).status_code == 303
        answer = http.get("/console/none")
    assert (answer.status_code, answer.text) == (404, "There is no such page. The console begins at /console/\n")


async def test_many_who_sign_in_at_once_keep_nobody_waiting(console: Console) -> None:
    key = {"Authorization": f"Bearer {console.key}"}
    limits = httpx.Limits(max_connections=PEOPLE + 10)
    async with httpx.AsyncClient(base_url=console.url, limits=limits, trust_env=False, timeout=120) as http:
        body = {"name": "ada", "password": "correct horse battery"}
        assert (await http.post("/api/v1/users", json=body, headers=key)).status_code == 201
        flood = [
            asyncio.create_task(
                http.post("/console/sign-in", data={"name": f"n{n}", "password": "wrong horse battery"})
            )
            for n in range(PEOPLE)
        ]
        slowest = 0.0
        while not all(task.done() for task in flood):
            began = time.monotonic()
            assert (await http.post("/console/sign-in", data={"key": console.key})).status_code == 303
            slowest = max(slowest, time.monotonic() - began)
        assert {(await task).status_code for task in flood} == {401}
        assert slowest < 5.0  # a moment, on a machine that does other things as well


@pytest.fixture
def fabric(tmp_path: Path) -> Iterator[FabricProcess]:
    with FabricProcess(tmp_path / "state") as running:
        yield running


@pytest.fixture
def beside(tmp_path: Path, fabric: FabricProcess) -> Iterator[Console]:
    """A console whose provider's pages are of the fabric's accounts."""
    with Console(tmp_path / "cloud", fabric) as running:
        yield running


@pytest.mark.world
async def test_many_access_keys_at_once_are_not_all_tried(fabric: FabricProcess, beside: Console) -> None:
    """Each costs a client of AWS's, and a call: who tries many waits, and pages do not."""
    found = configparser.RawConfigParser()
    found.read(fabric.credentials)
    right = found["customer"]["aws_access_key_id"], found["customer"]["aws_secret_access_key"]
    limits = httpx.Limits(max_connections=PEOPLE + 10)
    async with httpx.AsyncClient(base_url=beside.url, limits=limits, trust_env=False, timeout=120) as http:

        async def tried(access: str, secret: str) -> int:
            body = {"access": access, "secret": secret}
            return (await http.post("/console/sign-in/provider", data=body)).status_code

        assert await tried(*right) == 303
        flood = await asyncio.gather(*(tried(f"AKIA{n:016d}", "x" * 40) for n in range(PEOPLE - 1)))
        assert set(flood) == {401, 429} and flood.count(401) <= 20
        assert await tried(*right) == 303
