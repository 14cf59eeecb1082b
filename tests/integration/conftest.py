"""Servers that the tests of this directory share; a test that kills one starts its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers import Mosquitto, PostgreSQL


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


@pytest.fixture(scope="session")
def mosquitto() -> Iterator[Mosquitto]:
    with Mosquitto() as server:
        yield server
