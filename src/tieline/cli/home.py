"""The state directory of `tieline up`: who runs on it, what its kernel objects are called, where its files are."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from tieline.base import private
from tieline.base.locks import acquire

DEFAULT = Path("state")
LOCK, PREFIX = "lock", "prefix"
LOOK_SECONDS = 0.5  # that who only looks may take: to find the holder is to lock for a moment


class Taken(Exception):
    """Another `tieline up` runs on this directory; the message names it."""


class NoHome(Exception):
    """The state directory cannot be used; the message says why."""


class Home:
    """A state directory, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: IO[str] | None = None

    def make(self) -> None:
        """Make the directory, or make it private, and choose the prefix of its kernel objects, once; raises NoHome."""
        try:
            private.directory(self.path)
            file = self.path / PREFIX
            if not file.exists():
                file.write_text(f"tl-{secrets.token_hex(3)}\n")
        except private.NotPrivate as error:
            raise NoHome(f"no state directory: {error}") from None
        except OSError as error:
            raise NoHome(
                f"{self.path} cannot be the state directory ({error.strerror}): give another --state"
            ) from None

    @property
    def prefix(self) -> str:
        """What the name of everything made in the kernel begins with; "" where nothing was ever made."""
        with suppress(FileNotFoundError, NotADirectoryError):
            return (self.path / PREFIX).read_text().strip()
        return ""

    def take(self) -> None:
        """Hold the directory until this process ends; raises Taken where another one holds it."""
        lock = (self.path / LOCK).open("a+")
        deadline = time.monotonic() + LOOK_SECONDS
        while not acquire(lock):
            if time.monotonic() > deadline:
                lock.close()
                raise Taken(
                    f"tieline up already runs on {self.path} as process {self.holder() or '?'}: "
                    f"stop it with `tieline down --state {self.path}`, or give another --state"
                )
            time.sleep(0.01)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def holder(self) -> int | None:
        """The process that runs on this directory now, or None."""
        deadline = time.monotonic() + LOOK_SECONDS
        with suppress(FileNotFoundError), (self.path / LOCK).open() as lock:
            while not acquire(lock, shared=True):
                lock.seek(0)
                if (found := int(lock.read() or 0)) or time.monotonic() > deadline:
                    return found or None
                time.sleep(0.01)  # it has the lock, and is about to say who it is
        return None
