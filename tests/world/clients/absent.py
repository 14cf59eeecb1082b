"""Clients that are not on this machine: the test is skipped, and the summary of the run names each in red."""

from __future__ import annotations

from typing import NoReturn

import pytest

ABSENT: dict[str, str] = {}  # client: why it was not tested


def absent(client: str, why: str) -> NoReturn:
    """Skip the test for want of a client."""
    ABSENT[client] = why
    pytest.skip(f"{client} was not tested: {why}")
