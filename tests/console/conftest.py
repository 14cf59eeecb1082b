"""A browser and a running tieline with its console, for all tests of the directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from console import browsing
from world.running import Tieline


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser; a test without one is skipped with the reason."""
    if reason := browsing.obstacle():
        pytest.skip(reason)
    with browsing.browser() as running:
        yield running


@pytest.fixture(scope="session")
def tieline(tmp_path_factory: pytest.TempPathFactory, prefixes: Callable[[], str]) -> Iterator[Tieline]:
    """`tieline up`, for all tests of the console: each leaves it as empty as it found it."""
    running = Tieline(tmp_path_factory.mktemp("console") / "state", prefixes())
    try:
        running.up()
        yield running
    finally:
        running.down()
