"""One platform process for all REST tests, each of which makes its own deployment on it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import httpx
import pytest

from platforms import PlatformProcess
from servers import free_port
from tieline.client.rest import Client
from tieline.cloud.schemas.answers import CreatedDeployment


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud") as running:
        yield running


@pytest.fixture(scope="session")
def client(platform: PlatformProcess) -> Client:
    return platform.client


@pytest.fixture(scope="session")
def http(platform: PlatformProcess) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {platform.key}"}
    with httpx.Client(base_url=f"{platform.url}/api/v1", headers=headers, trust_env=False, timeout=60) as connected:
        yield connected


@pytest.fixture
def deployment(client: Client) -> Iterator[CreatedDeployment]:
    """An external deployment that nobody joined yet."""
    mqtt = {"host": "127.0.0.1", "port": free_port()}
    made = client.create_deployment(name=f"dep-{secrets.token_hex(4)}", provider="external", mqtt=mqtt)
    yield made
    client.delete_deployment(made.id, cascade=True)
