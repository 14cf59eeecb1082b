"""Clients too big for the environment of the tests: each is installed from a lock of its own, where it is wanted."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]


class NotInstalled(Exception):
    """The client cannot be had here; the message says why."""


def environment(name: str) -> Path:
    """The virtual environment with what requirements/NAME.txt pins, made at the first call and after every change."""
    lock = CHECKOUT / f"requirements/{name}.txt"
    place = Path(sys.prefix) / "apart" / name
    place.mkdir(parents=True, exist_ok=True)
    wanted, stamp = hashlib.sha256(lock.read_bytes()).hexdigest(), place / "installed"
    with (place / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            _run(sys.executable, "-m", "venv", "--clear", str(place / "venv"))
            pip = [str(place / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--no-compile"]
            _run(*pip, "--require-hashes", "--requirement", str(lock))
            stamp.write_text(wanted)
    return place / "venv"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NotInstalled((done.stderr.strip().splitlines() or ["no reason was given"])[-1])
