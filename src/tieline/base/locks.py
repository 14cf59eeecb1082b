"""Locks on files, which the kernel gives up with the process that holds them."""

from __future__ import annotations

import fcntl
from typing import IO


def acquire(file: IO[str] | IO[bytes], shared: bool = False) -> bool:
    """Lock a file, until it is closed; False where somebody else holds it now."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
