"""Webhooks: only where the operator allows, whatever a name resolves to, and no credentials of a URL are shown."""

from __future__ import annotations

import base64
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from platforms import PlatformProcess
from tieline.client.rest import ClientError
from tieline.cloud.alerts.watch import deliver, post

HOST = "127.0.0.1"


class Taker(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.heard.append(dict(self.headers))  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@contextmanager
def taking() -> Iterator[tuple[int, list[dict[str, str]]]]:
    heard: list[dict[str, str]] = []
    with http.server.ThreadingHTTPServer((HOST, 0), Taker) as server:
        server.heard = heard  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, heard
        server.shutdown()
        thread.join()


async def test_credentials_of_the_url_are_sent_and_the_name_is_kept() -> None:
    with taking() as (port, heard):
        await deliver("n", f"http://localhost:{port}/x", b"{}", login="user:p@ss")
    (headers,) = heard
    assert headers["Authorization"] == f"Basic {base64.b64encode(b'user:p@ss').decode()}"
    assert headers["Host"] == f"localhost:{port}"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "0x7f000001", "127.1"])
async def test_nothing_is_sent_where_the_list_does_not_lead(host: str) -> None:
    with taking() as (port, heard):
        async with httpx.AsyncClient(trust_env=False) as client:
            url = httpx.URL(f"http://{host}:{port}/")
            assert "may not" in await post(client, url, b"{}", {}, ("10.0.0.0/8", ".example.com"))
    assert heard == []


@pytest.mark.parametrize("host", ["169.254.169.254", "0xa9fea9fe", "[::ffff:169.254.169.254]", "0"])
async def test_metadata_services_are_no_webhooks(host: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        assert "link-local" in await post(client, httpx.URL(f"http://{host}/"), b"{}", {}, ())


def test_a_webhook_obeys_the_list_and_its_credentials_are_never_shown(tmp_path: Path) -> None:
    with PlatformProcess(tmp_path / "cloud", options=["--allow-address", ".example.com"]) as platform:
        for host in (HOST, "0x7f000001", "localhost", "example.org"):
            with pytest.raises(ClientError) as caught:
                platform.client.create_alert(name="a", url=f"http://u:s3cr3t@{host}/")
            assert caught.value.code == "FORBIDDEN_ADDRESS"
            assert "s3cr3t" not in str(caught.value)
        with pytest.raises(ClientError) as caught:
            platform.client.create_alert(name="a", url="ftp://u:s3cr3t@a.example.com/")
        assert (caught.value.code, "s3cr3t" in str(caught.value)) == ("INVALID_URL", False)
        made = platform.client.create_alert(name="a", url="https://u:s3cr3t@a.example.com:8443/x?y=1")
        assert made.url == "https://a.example.com:8443/x?y=1"
    stored = b"".join(path.read_bytes() for path in (tmp_path / "cloud").rglob("*") if path.is_file())
    assert b"s3cr3t" not in stored
