"""A fabric for the tests of a module, and one that a test may kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from world.faults.fabric import Fabric


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory, prefixes: Callable[[], str]) -> Iterator[Fabric]:
    """The fabric, for all tests of a module."""
    running = Fabric(tmp_path_factory.mktemp("up") / "state", prefixes())
    try:
        running.up()
        yield running
    finally:
        running.down()


@pytest.fixture
def mortal(tmp_path: Path, prefix: str) -> Iterator[Fabric]:
    """A fabric of the test's own, which the test starts and kills."""
    running = Fabric(tmp_path / "state", prefix)
    try:
        yield running
    finally:
        running.down()
