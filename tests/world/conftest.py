"""A running tieline for the tests of a module, and one that a test may kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from world.running import Tieline

HERE = Path(__file__).parent
SECONDS = 400  # for a test with its fixtures: several waits for what takes a moment where nobody else is at work


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="module")
def tieline(tmp_path_factory: pytest.TempPathFactory, prefixes: Callable[[], str]) -> Iterator[Tieline]:
    """`tieline up`, for all tests of a module."""
    running = Tieline(tmp_path_factory.mktemp("up") / "state", prefixes())
    try:
        running.up()
        yield running
    finally:
        running.down()


@pytest.fixture
def mortal(tmp_path: Path, prefix: str) -> Iterator[Tieline]:
    """A tieline of the test's own, which the test starts and kills."""
    running = Tieline(tmp_path / "state", prefix)
    try:
        yield running
    finally:
        running.down()
