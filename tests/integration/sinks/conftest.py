"""Servers that the tests of sinks share; a test that kills one starts its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from databases import ClickHouse, InfluxDB, MariaDB, Redis


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    with MariaDB() as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture(scope="session")
def influxdb() -> Iterator[InfluxDB]:
    with InfluxDB() as server:
        yield server


@pytest.fixture(scope="session")
def clickhouse() -> Iterator[ClickHouse]:
    with ClickHouse() as server:
        yield server
