"""The disk of the integration is full while its database is away: rows and dead letters wait, and none is lost."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from servers import Mosquitto, PostgreSQL
from tieline.integration.config import shapes as config
from tieline.integration.delivery.dead_letters import FILE
from world.running import until

pytestmark = pytest.mark.world

COUNT, RATE, EVERY = 30_000, 5_000, 5_000  # messages, messages a second, and of how many one is refused
MEBIBYTES = 3  # of the disk: less than the rows of the outage
RUNNER = Path(__file__).parents[2] / "integration" / "world" / "run_pipeline.py"
FLOOD = Path(__file__).with_name("flood.py")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEBIBYTES}m", "tmpfs", str(place)], check=True)
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all that is left."""
    file = disk / "filler"
    with file.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return file


def test_a_full_disk_loses_nothing(disk: Path) -> None:
    with PostgreSQL() as database, Mosquitto() as broker:
        database.execute(f"create table flow(n int check (n % {EVERY} <> 1))")
        resource = config.PostgreSQL(
            id="pg",
            server=database.server,
            database=database.database,
            username=database.user,
            password=database.password,
        )
        action = config.Sql(id="write", resource="pg", sql="insert into flow(n) values (${n})", buffer_mode="disk")
        rule = config.Rule(id="r", sql='SELECT payload.n as n FROM "flood/#"', actions=(action,))
        where = config.Broker(host="127.0.0.1", port=broker.port, client_id="full")
        setting = {"broker": where, "config": config.Config(resources=(resource,), rules=(rule,))}
        (disk / "config.json").write_bytes(msgspec.json.encode(setting))
        command = [sys.executable, str(RUNNER), str(disk)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as pipeline:
            try:
                assert pipeline.stdout is not None and pipeline.stdout.readline() == "ready\n"
                outage(database, broker, disk)
            finally:
                pipeline.kill()


def outage(database: PostgreSQL, broker: Mosquitto, disk: Path) -> None:
    """The database goes away, the disk fills up; then both come back, and everything is counted."""
    command = [sys.executable, str(FLOOD), "127.0.0.1", str(broker.port), str(COUNT), str(RATE)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as flood:
        until(lambda: rows(database), lambda found: found > RATE)
        database.kill()
        filler = fill(disk)
        flood.communicate(timeout=120)
    free = os.statvfs(disk)
    assert free.f_bavail * free.f_bsize < 100_000, "the disk was not full"
    database.start()
    refused = len(range(1, COUNT, EVERY))
    until(lambda: rows(database), lambda found: found > RATE * 2, 60)
    filler.unlink()
    until(lambda: distinct(database), lambda found: found == COUNT - refused, 90)
    kept = until(lambda: letters(disk), lambda found: len(found) >= refused)
    assert {json.loads(line)["output"]["n"] for line in kept} == set(range(1, COUNT, EVERY))
    assert rows(database) - distinct(database) <= 1000, "at most the batch whose answer was lost comes twice"


def letters(disk: Path) -> list[str]:
    """The dead letters, of which the first makes the file."""
    file = disk / FILE
    return file.read_text().splitlines() if file.exists() else []


def rows(database: PostgreSQL) -> int:
    return int(database.execute("select count(*) from flow")[0][0])


def distinct(database: PostgreSQL) -> int:
    return int(database.execute("select count(distinct n) from flow")[0][0])
