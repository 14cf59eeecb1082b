"""Agents on other machines: over HTTPS, with the platform's certificate verified, and for ever."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from platforms import AgentProcess, PlatformProcess
from servers import free_port, wait_until
from tieline.client.rest import Client

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    with PlatformProcess(
        tmp_path_factory.mktemp("tls") / "cloud", options=["--tls", f"{HOST}:{free_port()}"]
    ) as running:
        yield running


@pytest.fixture
def url(platform: PlatformProcess) -> str:
    return f"https://{platform.options[1]}"


@pytest.fixture
def authority(platform: PlatformProcess) -> Path:
    return platform.state / "tls-authority.pem"


def join(client: Client, name: str) -> str:
    made = client.create_deployment(
        name=name, provider="external", mqtt={"host": HOST, "port": free_port()}, anonymous=True
    )
    return made.join_token


def connected(client: Client, name: str) -> bool:
    return client.deployment(name).agent.connected


def test_the_certificate_is_verified_by_its_authority_alone(
    platform: PlatformProcess, url: str, authority: Path
) -> None:
    context = ssl.create_default_context(cafile=str(authority))
    with httpx.Client(verify=context, trust_env=False) as client:
        assert client.get(f"{url}/healthz").json() == {"status": "ok"}
        assert client.get(f"{url}/api/v1/deployments").status_code == 401
    with httpx.Client(trust_env=False) as client, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        client.get(f"{url}/healthz")
    assert (platform.state / "tls-key.pem").stat().st_mode & 0o077 == 0


def test_an_agent_joins_and_comes_back_by_itself(
    platform: PlatformProcess, url: str, authority: Path, tmp_path: Path
) -> None:
    client = platform.client
    token = join(client, "far")
    with AgentProcess(url, token, tmp_path / "agent", ["--authority", str(authority)]) as agent:
        wait_until(lambda: client.deployment("far").status == "running", "the deployment")
        platform.kill()
        platform.start()
        wait_until(lambda: connected(client, "far"), "the agent back on its line")
        assert agent.alive()
        client.delete_deployment("far")
        wait_until(lambda: "far" not in [one.name for one in client.deployments()], "the end")


def test_a_token_that_was_seen_is_replaced(
    platform: PlatformProcess, url: str, authority: Path, tmp_path: Path
) -> None:
    client = platform.client
    old = join(client, "renewed")
    options = ["--authority", str(authority)]
    with AgentProcess(url, old, tmp_path / "agent", options) as agent:
        wait_until(lambda: connected(client, "renewed"), "the agent")
        new = client.renew_join_token("renewed")
        wait_until(lambda: not connected(client, "renewed") and "HTTP 401" in agent.log(), "the end of its line")
    with AgentProcess(url, new, tmp_path / "agent", options):
        wait_until(lambda: connected(client, "renewed"), "the agent with the new token")
    client.delete_deployment("renewed")


def test_an_agent_trusts_nobody_else(platform: PlatformProcess, url: str, tmp_path: Path) -> None:
    token = join(platform.client, "careful")
    with AgentProcess(url, token, tmp_path / "agent") as agent:
        wait_until(lambda: "CERTIFICATE_VERIFY_FAILED" in agent.log(), "the refusal")
        assert not connected(platform.client, "careful")
        assert token not in agent.log()
    platform.client.delete_deployment("careful")


@pytest.mark.parametrize("url", ["http://192.0.2.1:8080", "192.0.2.1", "ftp://192.0.2.1"])
def test_no_token_crosses_a_network_in_the_clear(url: str, tmp_path: Path) -> None:
    agent = AgentProcess(url, "tlj_dep-1_secret", tmp_path / "agent")
    agent.start()
    assert agent.process
    assert agent.process.wait(60) == 2
    agent.stop()
    assert "https" in agent.log()


def test_a_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("none")
    options = ["--tls", f"{HOST}:{free_port()}", "--tls-chain", str(broken), "--tls-key", str(broken)]
    platform = PlatformProcess(tmp_path / "cloud", options=options)
    with pytest.raises(AssertionError, match="cannot serve with TLS"):
        platform.start()
    platform.stop()
