"""Who asks too often waits, and nobody else does."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.requests import HTTPConnection

from tieline.cloud.guard.identify import Doorkeeper
from tieline.cloud.guard.limits import REQUESTS, Attempts, Limit
from tieline.cloud.guard.records import Grant
from tieline.cloud.guard.service import record_key
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.store.repository import Repository
from tieline.store import SQLiteStore


def test_a_bucket_is_emptied_and_filled_again() -> None:
    asked = Attempts(Limit(burst=3, seconds=2.0))
    for _ in range(3):
        assert asked.wait("a", 100.0) == 0
        asked.add("a", 100.0)
    assert asked.wait("a", 100.0) == 2.0
    assert asked.wait("a", 101.5) == 0.5
    assert asked.wait("a", 102.0) == 0
    assert asked.wait("b", 100.0) == 0


def test_one_caller_in_a_loop_is_slowed_down(tmp_path: Path) -> None:
    records = Repository(SQLiteStore(tmp_path / "cloud.db"))
    doorkeeper = Doorkeeper(records)
    busy, calm = (record_key(records, name, Grant(), "2026-01-01T00:00:00Z")[1] for name in ("busy", "calm"))
    with pytest.raises(PlatformError) as refused:
        for _ in range(20 * REQUESTS.burst):
            doorkeeper.identify(request(busy), "GET")
    assert (refused.value.status, refused.value.code) == (429, "TOO_MANY_REQUESTS")
    assert refused.value.headers["Retry-After"] == "1"
    assert doorkeeper.identify(request(calm), "GET").name == "calm"
    records.close()


def request(key: str) -> HTTPConnection:
    headers = [(b"authorization", f"Bearer {key}".encode())]
    return HTTPConnection({"type": "http", "headers": headers, "client": ("127.0.0.1", 1)})
