"""What answers without a key, on the plain listener and on the one with TLS: nothing that is not said in the docs."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from platforms import PlatformProcess
from servers import free_port, wait_until
from tieline.client.rest import Client
from tieline.cloud.api.app import PREFIX, interface

#: `docs/security.md`, "The AWS wire and REST". Logging in is there for those who have no key yet.
OPEN = {"/healthz", f"{PREFIX}/openapi.json", f"{PREFIX}/schema/documents"}
PLAIN_ONLY = {"/metrics"}


class Secured(PlatformProcess):
    """A platform with a TLS listener, and the projects a and b."""

    def __init__(self, state: Path) -> None:
        self.tls = free_port()
        super().__init__(state, options=["--tls", f"127.0.0.1:{self.tls}", "--tls-name", "tieline.example"])

    def secured(self, key: str = "") -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.state / "tls-authority.pem"))
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(
            base_url=f"https://localhost:{self.tls}", headers=headers, trust_env=False, timeout=60, verify=context
        )


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with Secured(tmp_path_factory.mktemp("secured") / "cloud") as running:
        for project in "ab":
            mqtt = {"host": "127.0.0.1", "port": free_port()}
            running.client.create_deployment(name=f"dep-{project}", project=project, provider="external", mqtt=mqtt)
        wait_until(lambda: (running.state / "tls-authority.pem").exists(), "the TLS listener")
        yield running


def paths() -> list[str]:
    """Every path that answers GET, as a stranger would ask for it."""
    described = interface().openapi()["paths"]
    found = {re.sub("[{}]", "", path) for path, operations in described.items() if "get" in operations}
    return sorted(found | OPEN)


def test_there_is_something_to_ask_for() -> None:
    assert set(paths()) >= OPEN | PLAIN_ONLY


@pytest.mark.parametrize("path", paths())
def test_without_a_key_nothing_but_what_is_said(secured: Secured, path: str) -> None:
    plain = httpx.get(f"{secured.url}{path}", trust_env=False, timeout=60)
    with secured.secured() as http:
        over_tls = http.get(path)
    assert (plain.status_code == 200) is (path in OPEN | PLAIN_ONLY), plain.text
    assert (over_tls.status_code == 200) is (path in OPEN), over_tls.text
    if path not in OPEN:
        assert over_tls.status_code == 401


def test_metrics_over_tls_are_for_the_projects_of_a_key(secured: Secured) -> None:
    client = Client(secured.url, secured.key)
    made = client.create_key(name="only-b", role="auditor", projects=["b"])
    client.close()
    assert "dep-a" in httpx.get(f"{secured.url}/metrics", trust_env=False, timeout=60).text
    with secured.secured(secured.key) as http:
        assert "dep-a" in http.get("/metrics").text
    with secured.secured(made.key) as http:
        told = http.get("/metrics").text
        assert "dep-b" in told
        assert "dep-a" not in told
        assert 'tieline_deployments{status="creating"} 1' in told or 'status="running"} 1' in told


@pytest.mark.parametrize("host", ["evil.example", "tieline.example.evil.example", "192.0.2.1"])
@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/console/sign-in", f"{PREFIX}/deployments"])
def test_a_host_of_somebody_else_s_is_not_served(secured: Secured, host: str, path: str) -> None:
    for http in (httpx.Client(base_url=secured.url, trust_env=False), secured.secured()):
        with http:
            answer = http.get(path, headers={"Host": host, "Authorization": f"Bearer {secured.key}"})
        assert (answer.status_code, answer.json()["code"]) == (421, "MISDIRECTED_REQUEST")
        assert "--allow-host" in answer.json()["hint"]


def test_the_names_of_its_certificate_are_served(secured: Secured) -> None:
    for host in ("tieline.example", "localhost", "127.0.0.1", "TIELINE.EXAMPLE.:443"):
        with secured.secured() as http:
            assert http.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Client-IP", "CF-Connecting-IP"])
def test_a_forged_source_is_in_no_log_and_passes_no_limit(secured: Secured, header: str) -> None:
    told = []
    for number in range(7):
        forged = f"203.0.113.{number}"
        body = {"name": f"forged-{header}", "password": "not the right one"}
        value = f"for={forged}" if header == "Forwarded" else forged
        told.append(httpx.post(f"{secured.url}{PREFIX}/session", json=body, headers={header: value}, trust_env=False))
    assert told[-1].status_code == 429
    with secured.secured(secured.key) as http:
        entries = http.get(f"{PREFIX}/audit", params={"limit": 100}).json()["entries"]
    sources = {entry["source"] for entry in entries if entry["name"] == f"forged-{header}"}
    assert sources == {"127.0.0.1"}
