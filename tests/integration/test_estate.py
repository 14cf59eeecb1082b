"""What a process left on disk is taken over whole: in order, within the limits, once but for what a crash repeats."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tieline.integration.config.shapes import Broker, Config
from tieline.integration.delivery.dead_letters import FILE, DeadLetters, letter
from tieline.integration.delivery.spool import SUFFIX, Spool
from tieline.integration.messages.message import Message
from tieline.integration.worker import takeover as estates
from tieline.integration.worker.pipeline import Pipeline
from tieline.integration.worker.takeover import locked

HOLDER = "import sys, pathlib; from tieline.integration.worker.takeover import locked; at = pathlib.Path(sys.argv[1])\n"
HOLDER += "kept = locked(at); print(kept is not None, flush=True); sys.stdin.read()"


def filled(directory: Path, numbers: range) -> Spool:
    spool = Spool(directory, 1 << 20)
    spool.append([b"%d" % n for n in numbers])
    return spool


def test_records_come_behind_our_own_and_leave_nothing(tmp_path: Path) -> None:
    own, other = filled(tmp_path / "own", range(10)), filled(tmp_path / "other", range(10, 100))
    other.take(20, 1000)
    other.give_up(20)  # of theirs
    other.close()
    assert own.absorb(tmp_path / "other", 7, 1000, 60) == (70, 0, False)
    assert own.take(200, 1 << 20)[1] == [b"%d" % n for n in (*range(10), *range(30, 100))]
    assert not (tmp_path / "other").exists()
    own.close()


def test_records_for_which_there_is_no_room_wait_where_they_are(tmp_path: Path) -> None:
    filled(tmp_path / "other", range(100, 200)).close()
    own = Spool(tmp_path / "own", 11 * 40)  # three bytes each, behind a head of eight
    assert own.absorb(tmp_path / "other", 1000, 1 << 20, 60) == (40, 0, True)
    assert own.absorb(tmp_path / "other", 1000, 1 << 20, 60) == (0, 0, True)
    own.take(40, 1 << 20)
    own.give_up(40)
    assert own.absorb(tmp_path / "other", 1000, 1 << 20, 60) == (40, 0, True)
    assert own.take(1, 100)[1] == [b"140"]
    own.close()


def test_what_is_damaged_in_a_legacy_is_counted_and_holds_up_no_other(tmp_path: Path) -> None:
    other = Spool(tmp_path / "other", 1 << 20)
    other._segment_bytes = 1
    for start in (100, 200):
        other.append([b"%d" % n for n in range(start, start + 10)])
    other.close()
    first = min((tmp_path / "other").glob(f"*{SUFFIX}"))
    first.write_bytes(first.read_bytes()[:-1] + b"x")
    own = Spool(tmp_path / "own", 1 << 20)
    assert own.absorb(tmp_path / "other", 1000, 1 << 20, 60) == (19, 1, False)
    assert own.take(100, 1000)[1][-1] == b"209"
    own.close()


def test_letters_are_one_list_in_order_of_time_and_a_crash_doubles_none(tmp_path: Path) -> None:
    own, other = DeadLetters(tmp_path / "own"), DeadLetters(tmp_path / "other")
    own.add([letter(Message("t"), "r", "a", why, time) for why, time in (("b", 2), ("d", 4))])
    other.add([letter(Message("t"), "r", "a", why, time) for why, time in (("a", 1), ("c", 3))])
    shutil.copy(tmp_path / "other" / FILE, tmp_path / "kept")
    own.inherit(tmp_path / "other")
    assert not (tmp_path / "other" / FILE).exists()
    shutil.copy(tmp_path / "kept", tmp_path / "other" / FILE)  # killed before it was removed
    own.inherit(tmp_path / "other")
    own.inherit(tmp_path / "other")
    assert "".join(one.error for one in own.list()) == "abcd"
    assert DeadLetters(tmp_path / "own").list() == own.list()
    few = DeadLetters(tmp_path / "few", limit=3)
    few.add([letter(Message("t"), "r", "a", "e", 5)])
    few.inherit(tmp_path / "own")
    assert "".join(one.error for one in few.list()) == "cde" and few.dropped == 2


def test_a_directory_is_one_process_s_and_nobody_s_when_that_has_ended(tmp_path: Path) -> None:
    mine = locked(tmp_path)
    assert mine is not None and locked(tmp_path, 0.1) is None
    mine.close()
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"True\n"
        assert locked(tmp_path) is None
        holder.kill()
    free = locked(tmp_path, 60)
    assert free is not None
    free.close()


async def test_nobody_takes_what_somebody_works_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estates, "AGAIN_SECONDS", 0.01)
    known = letter(Message("t"), "r", "", "why", 1)
    DeadLetters(tmp_path / "other").add([known])
    at_work = locked(tmp_path / "other")
    assert at_work is not None
    pipeline = Pipeline(Broker(host="127.0.0.1", port=9, client_id="c"), Config(version=1), tmp_path / "own")
    try:
        await pipeline.inherit([tmp_path / "other", tmp_path / "nowhere"])
        await asyncio.sleep(0.1)  # it would be here by now
        assert (tmp_path / "other" / FILE).exists() and not len(pipeline.dead_letters)
        at_work.close()
        async with asyncio.timeout(60):
            while not len(pipeline.dead_letters):
                await asyncio.sleep(0.01)
        assert pipeline.dead_letters.list() == [known]
    finally:
        await pipeline.close()
