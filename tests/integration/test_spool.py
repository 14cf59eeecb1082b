"""A queue on disk gives back what it was given, in order, after any restart, and never more than its limit."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.integration.delivery import spool as spools
from tieline.integration.delivery.spool import Damaged, Spool


def records(first: int, count: int) -> list[bytes]:
    return [b"%d" % n * 3 for n in range(first, first + count)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["append", "take", "give up", "start"]), st.integers(1, 30)), max_size=30))
def test_it_is_a_queue_that_survives(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]) -> None:
    directory = tmp_path_factory.mktemp("spool")
    spool = Spool(directory, 10_000)
    spool._segment_bytes = 60
    front = read = end = 0
    for step, number in steps:
        match step:
            case "append":
                assert spool.append(records(end, number)) == number
                end += number
            case "take":
                first, found = spool.take(number, 1000)
                assert first == read and found == records(read, len(found))
                assert len(found) == min(number, end - read)
                read += len(found)
            case "give up":
                front = max(front, min(read, front + number))
                spool.give_up(front)
            case "start":
                spool.close()
                spool = Spool(directory, 10_000)
                spool._segment_bytes = 60
                read = front
        assert (spool.front, spool.rows, spool.unread) == (front, end - front, end - read)
    spool.close()


def test_numbers_go_on_after_a_restart_with_nothing_in_it(tmp_path: Path) -> None:
    for round in range(3):  # each appends less than was given up before it
        spool = Spool(tmp_path, 1000)
        assert spool.take(1, 1000)[1] == ([] if round == 0 else records(round, 1))
        spool.give_up(spool.end)
        spool.close()
        spool = Spool(tmp_path, 1000)
        spool.append(records(round + 1, 1))
        spool.close()


def test_a_full_one_takes_no_more_or_drops_the_oldest(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1000)
    kept = spool.append([b"x" * 92] * 20)
    assert kept == 10 and spool.append([b"y"]) == 0 and spool.size == 1000
    spool.take(1, 1000)
    lost = 0
    while spool.append([b"z" * 92]) == 0:
        lost += spool.drop_oldest()
    assert lost == 9 and spool.rows == 1  # one segment, one of its records read already
    assert spool.take(5, 1000)[1] == [b"z" * 92]
    small = Spool(tmp_path / "small", 10)
    assert small.append([b"x" * 100]) == 1  # else it would wait for ever
    small.close()
    spool.close()


def test_what_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20)
    spool.append(records(0, 3))
    spool.close()
    file = next(tmp_path.glob(f"*{spools.SUFFIX}"))
    file.write_bytes(file.read_bytes() + b"\0\0\0\5\0\0")
    again = Spool(tmp_path, 1 << 20)
    again.append(records(3, 2))
    assert again.take(10, 1 << 20)[1] == records(0, 5)
    again.close()


FULL = """
import resource, signal, sys
from pathlib import Path
from tieline.integration.delivery.spool import Spool
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
spool = Spool(Path(sys.argv[1]), 1 << 20)
spool.append([b"a" * 100] * 3)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
try:
    spool.append([b"b" * 100] * 10)
except OSError as error:
    print(error.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert spool.append([b"c" * 100]) == 1
assert spool.take(20, 1 << 20)[1] == [b"a" * 100] * 3 + [b"c" * 100]
"""


def test_a_disk_that_takes_no_more_leaves_nothing_half_written(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("27", "28")  # EFBIG, or a part that was taken


def test_what_is_damaged_loses_its_segment_and_nothing_before_or_behind_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10_000)
    spool._segment_bytes = 1
    for first in (0, 10, 20):
        spool.append(records(first, 10))
    file = sorted(tmp_path.glob(f"*{spools.SUFFIX}"))[1]
    content = bytearray(file.read_bytes())
    content[len(content) // 2 + 8] ^= 0xFF  # in the text of record 15
    file.write_bytes(content)
    assert spool.take(100, 1000) == (0, records(0, 15))
    for _ in range(2):  # the same answer each time
        with pytest.raises(Damaged):
            spool.take(100, 1000)
    assert spool.skip_damaged() == 5
    assert spool.take(100, 1000) == (20, records(20, 10))
    spool.close()
    again = Spool(tmp_path, 10_000)  # which cuts the segment off at the damage
    assert again.take(100, 1000) == (0, records(0, 15))
    with pytest.raises(Damaged):
        again.take(100, 1000)
    assert again.skip_damaged() == 5 and again.take(100, 1000) == (20, records(20, 10))
    again.close()


def test_a_read_that_fails_once_skips_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, reading = Spool(tmp_path, 10_000), Spool._next
    spool.append(records(0, 20))
    fails = iter([False] * 7 + [True] + [False] * 30)

    def once(self: Spool) -> bytes:
        if next(fails):
            raise OSError(5, "Input/output error")
        return reading(self)

    monkeypatch.setattr(Spool, "_next", once)
    assert spool.take(100, 1000) == (0, records(0, 7))
    assert spool.take(100, 1000) == (7, records(7, 13))
    spool.close()
