"""What an operator chooses with `tieline up`: TLS for others, and which addresses resources may name."""

from __future__ import annotations

import ssl

import httpx
import pytest

from servers import free_port
from tieline.client.rest import ClientError
from world.running import Tieline, until

pytestmark = pytest.mark.world

POSTGRESQL = {"type": "postgresql", "database": "app", "username": "app", "password": "x"}


def test_the_operators_choices_reach_the_platform(mortal: Tieline) -> None:
    port = free_port()
    mortal.up("--tls", f"127.0.0.1:{port}", "--tls-name", "tieline.example.com", "--allow-address", "10.9.0.0/16")
    context = ssl.create_default_context(cafile=str(mortal.state / "tls-authority.pem"))
    with httpx.Client(verify=context, trust_env=False) as browser:
        until(lambda: serves(browser, f"https://127.0.0.1:{port}/healthz"))
        named = browser.get(f"https://127.0.0.1:{port}/healthz", extensions={"sni_hostname": "tieline.example.com"})
        assert named.status_code == 200
    with mortal.client() as client:
        client.create_deployment(name="lab", provider="external", mqtt={"host": "127.0.0.1", "port": free_port()})
        client.create_resource("lab", name="inside", server="10.9.0.7:5432", **POSTGRESQL)
        with pytest.raises(ClientError) as refused:
            client.create_resource("lab", name="outside", server="10.8.0.7:5432", **POSTGRESQL)
        assert (refused.value.status, refused.value.code) == (403, "FORBIDDEN_ADDRESS")
        with pytest.raises(ClientError) as profile:
            client.create_deployment(name="far", provider="aws", aws={"vpc": "vpc-12345678", "profile": "other"})
        assert profile.value.code == "FORBIDDEN_PROFILE"


def serves(browser: httpx.Client, url: str) -> bool:
    """Whether it answers; the listener with TLS may be the last to begin."""
    try:
        return browser.get(url).status_code == 200
    except httpx.TransportError:
        return False
