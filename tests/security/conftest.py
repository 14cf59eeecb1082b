"""One platform process for the tests that need no other, and a client with its first key."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from platforms import PlatformProcess


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud") as running:
        yield running


@pytest.fixture(scope="session")
def http(platform: PlatformProcess) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {platform.key}"}
    with httpx.Client(base_url=f"{platform.url}/api/v1", headers=headers, trust_env=False, timeout=60) as connected:
        yield connected
