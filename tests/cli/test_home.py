"""Who runs on a state directory: one process at a time, whoever looks on, and known from the moment it does."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tieline.cli.home import LOCK, LOOK_SECONDS, Home, Taken


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    made.make()
    yield made
    if made._lock is not None:
        made._lock.close()


def test_one_at_a_time(home: Home) -> None:
    assert home.holder() is None
    home.take()
    assert home.holder() == os.getpid()
    with pytest.raises(Taken, match=f"as process {os.getpid()}: stop it with `tieline down"):
        Home(home.path).take()


def test_who_only_looks_takes_it_from_nobody(home: Home) -> None:
    """To find the holder is to lock for a moment: a start at that moment was refused."""
    with (home.path / LOCK).open("a+") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        done = threading.Timer(LOOK_SECONDS / 5, lambda: fcntl.flock(looking, fcntl.LOCK_UN))
        done.start()
        home.take()
        done.join()
    assert home.holder() == os.getpid()


def test_one_that_has_just_begun_is_somebody(home: Home) -> None:
    """Between the lock and the name in it nobody seemed to run: everything would be removed under its feet."""
    with (home.path / LOCK).open("a+") as beginning:
        fcntl.flock(beginning, fcntl.LOCK_EX)

        def say() -> None:
            time.sleep(LOOK_SECONDS / 5)
            beginning.write("4711")
            beginning.flush()

        saying = threading.Thread(target=say)
        saying.start()
        assert home.holder() == 4711
        saying.join()
