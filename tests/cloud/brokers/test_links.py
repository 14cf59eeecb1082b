"""The agent is root where its broker is not: no link in the broker's directory leads root to another file."""

from __future__ import annotations

import asyncio
import os
import pwd
from pathlib import Path

import pytest

from servers import START_SECONDS, free_port
from tieline.agent.brokers.mosquitto import Mosquitto
from tieline.agent.brokers.mosquitto_conf import ACCESS, CONFIGURATION, GATE
from tieline.agent.brokers.settings import Listener, Settings
from tieline.base.trees import InTheWay

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the agent has no more rights than its broker without root")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A file of root's, beside the broker's directory."""
    file = tmp_path / "shadow"
    file.write_text("root's own")
    file.chmod(0o640)
    return file


@pytest.fixture
def directory(tmp_path: Path, outside: Path) -> Path:
    """A broker's directory in which each file that the agent writes, gives away or removes is a link."""
    made = tmp_path / "broker"
    made.mkdir()
    for name in (
        CONFIGURATION,
        ACCESS,
        GATE,
        "certificate.pem",
        "key.pem",
        "anything",
        f".{CONFIGURATION}.{os.getpid()}",
    ):
        (made / name).symlink_to(outside)
    (made / "hard").hardlink_to(outside)
    os.mkfifo(made / "pipe")
    (made / "mosquitto.db").symlink_to(outside)
    return made


def state(file: Path) -> tuple[str, int, int, int]:
    found = file.stat()
    return file.read_text(), found.st_mode, found.st_uid, found.st_gid


async def test_no_link_leads_the_agent_out_of_the_brokers_directory(directory: Path, outside: Path) -> None:
    (directory / "mosquitto.db").unlink()
    before = state(outside)
    settings = Settings(mqtt=Listener(host="127.0.0.1", port=free_port()), anonymous=True)
    came = asyncio.Event()
    broker = Mosquitto(directory, "password", came.set)
    await broker.apply(settings)
    try:
        async with asyncio.timeout(START_SECONDS):
            while not broker.running:
                await came.wait()
                came.clear()
        assert state(outside) == before
        assert not any((directory / name).is_symlink() for name in (CONFIGURATION, ACCESS, GATE))
        owner = (directory / CONFIGURATION).stat().st_uid
        assert pwd.getpwuid(owner).pw_name in ("mosquitto", "nobody")
    finally:
        await broker.close()
    assert state(outside) == before


async def test_a_link_in_the_place_of_the_directory_is_refused(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "broker").symlink_to(tmp_path / "target")
    broker = Mosquitto(tmp_path / "broker", "password", lambda: None)
    with pytest.raises(InTheWay):
        await broker.apply(Settings(mqtt=Listener(host="127.0.0.1", port=free_port()), anonymous=True))
    await broker.close()
    assert list((tmp_path / "target").iterdir()) == []
