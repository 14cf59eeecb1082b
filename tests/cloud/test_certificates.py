"""Certificates are renewed in time by the same authority, without an end of what is open, and others' ends are told."""

from __future__ import annotations

import asyncio
import http.server
import json
import logging
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from cryptography import x509

from certificates import Authority
from platforms import PlatformProcess
from servers import free_port, wait_until
from tieline.base.http.hosts import Hosts
from tieline.base.http.server import Server
from tieline.base.secrets import write_private
from tieline.cloud.alerts.transitions import State
from tieline.cloud.api.server import LIMITS, options
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import Address
from tieline.cloud.platform.encrypted import AUTHORITY as AUTHORITY_FILE
from tieline.cloud.platform.encrypted import AUTHORITY_KEY, CHAIN, KEY, Encrypted, Keeper, NoTls, encrypted
from tieline.cloud.tls.certificates import (
    AUTHORITY_LIFETIME,
    LIFETIME,
    Certificate,
    Renewal,
    Validity,
    renewal,
    renewed,
    self_signed,
    validity,
)

HOST = "127.0.0.1"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def state_with(path: Path, certificate: Certificate) -> Path:
    path.mkdir(exist_ok=True)
    files = {CHAIN: certificate.chain, KEY: certificate.key, AUTHORITY_FILE: certificate.authority}
    for name, text in (files | {AUTHORITY_KEY: certificate.authority_key}).items():
        write_private(path / name, text)
    return path


@pytest.mark.parametrize(
    ("age", "left", "authority", "expected"),
    [
        (0 * DAY, 825 * DAY, 3650 * DAY, Renewal.GOOD),
        (549 * DAY, 276 * DAY, 3000 * DAY, Renewal.GOOD),
        (551 * DAY, 274 * DAY, 3000 * DAY, Renewal.DUE),
        (826 * DAY, -1 * DAY, 3000 * DAY, Renewal.DUE),  # after a year switched off
        (811 * DAY, 14 * DAY, 14 * DAY, Renewal.ENDING),  # its authority ends, too
        (900 * DAY, -1 * DAY, -1 * DAY, Renewal.ENDED),
        (70 * DAY, 15 * DAY, None, Renewal.GOOD),  # people's own
        (76 * DAY, 14 * DAY, None, Renewal.ENDING),
        (91 * DAY, 0 * DAY, None, Renewal.ENDED),
    ],
)
def test_what_is_to_be_done(age: timedelta, left: timedelta, authority: timedelta | None, expected: Renewal) -> None:
    until = NOW + authority if authority is not None else None
    assert renewal(Validity(NOW - age, NOW + left, until), NOW) is expected


def test_renewing_again_and_again_ends_with_the_authority() -> None:
    """Ten years of hourly looks, a day at a time: never a day without a good certificate, and it settles."""
    certificate, now, renewals = self_signed("x", ["localhost"], NOW), NOW, 0
    while now < NOW + AUTHORITY_LIFETIME:
        found = validity(certificate.chain, certificate.authority, ours=True)
        assert found.begins <= now < found.ends <= NOW + AUTHORITY_LIFETIME
        if renewal(found, now) is Renewal.DUE:
            certificate, renewals = renewed(certificate, now), renewals + 1
        now += DAY
    assert renewals == (AUTHORITY_LIFETIME - LIFETIME) // (LIFETIME * 2 / 3) + 1
    assert renewal(validity(certificate.chain, certificate.authority, ours=True), now - 2 * DAY) is Renewal.ENDING


def test_another_certificate_has_the_same_names_and_another_key() -> None:
    first = self_signed("x", ["localhost", "127.0.0.1", "a.example.com"], NOW)
    second = renewed(first, NOW + 600 * DAY)
    one, two = (x509.load_pem_x509_certificate(text.chain.encode()) for text in (first, second))
    assert [item.value for item in one.extensions if item.oid.dotted_string == "2.5.29.17"] == [
        item.value for item in two.extensions if item.oid.dotted_string == "2.5.29.17"
    ]
    assert (second.authority, one.serial_number == two.serial_number) == (first.authority, False)
    assert first.key != second.key


@pytest.mark.parametrize("lost", ["nothing", "the pair", "the key"])
def test_a_start_after_a_long_rest_renews(tmp_path: Path, lost: str) -> None:
    old = self_signed("platform", ["localhost"], datetime.now(UTC) - 900 * DAY)
    state = state_with(tmp_path / "cloud", old)
    if lost == "the pair":  # the end came between two writes
        write_private(state / KEY, self_signed("other", ["localhost"], NOW).key)
    if lost == "the key":
        (state / KEY).unlink()
    port = free_port()
    with PlatformProcess(state, options=["--tls", f"{HOST}:{port}"]):
        assert asyncio.run(shown(port, old.authority)).not_valid_after_utc > datetime.now(UTC) + 800 * DAY
    assert (state / AUTHORITY_FILE).read_text() == old.authority
    assert (state / KEY).stat().st_mode & 0o077 == 0


async def shown(port: int, authority: str) -> x509.Certificate:
    """The certificate that a listener shows a new client, which verifies it."""
    _, writer = await asyncio.open_connection(HOST, port, ssl=trusting(authority), server_hostname="localhost")
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(der)


def trusting(authority: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority)


async def app(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b""})  # type: ignore[operator]


class Listening:
    """The server that the platform serves with, and a client that stays on its line."""

    def __init__(self, files: Encrypted, authority: str) -> None:
        self._server = Server(
            app, LIMITS, Hosts(), lifespan="off", ssl_certfile=str(files.chain), ssl_keyfile=str(files.key)
        )
        self._config = self._server.config
        self._config.load()
        assert self._config.ssl is not None
        self.context, self._files, self._authority = self._config.ssl, files, authority

    async def __aenter__(self) -> Listening:
        self._config.host, self._config.port = HOST, self._files.address.port
        self._serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.01)
        self._line = await asyncio.open_connection(
            HOST, self._files.address.port, ssl=trusting(self._authority), server_hostname="localhost"
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._line[1].close()
        await self._line[1].wait_closed()
        self._server.should_exit = True
        await self._serving

    async def ask(self) -> bytes:
        """The first line of an answer, over the connection that was opened first."""
        reader, writer = self._line
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]


@pytest.fixture
def uncaught() -> Iterator[None]:
    logging.getLogger("tieline").setLevel(logging.INFO)
    yield
    logging.getLogger("tieline").setLevel(logging.NOTSET)


def test_it_is_renewed_while_connections_are_open(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, uncaught: None
) -> None:
    now, port = datetime.now(UTC), free_port()
    first = self_signed("platform", ["localhost"], now - 560 * DAY)
    state = state_with(tmp_path / "state", first)
    files = Encrypted(Address(host=HOST, port=port), state / CHAIN, state / KEY, ours=state)

    async def run() -> None:
        clock, named = [now - 20 * DAY, now], list[str]()
        async with Listening(files, first.authority) as listening:
            keeper = Keeper(files, listening.context, lambda *_: None, named.extend, lambda: clock.pop(0))
            keeper.look()
            assert named == ["localhost"]
            before = await shown(port, first.authority)
            assert before == x509.load_pem_x509_certificate(first.chain.encode())
            assert b"204" in await listening.ask()
            keeper.look()
            after = await shown(port, first.authority)
            assert after.not_valid_after_utc > before.not_valid_after_utc + 500 * DAY
            assert b"204" in await listening.ask()

    asyncio.run(run())
    assert caplog.text.count("renewed, by the same authority") == 1


def test_people_s_own_is_taken_when_replaced_and_its_end_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, uncaught: None
) -> None:
    authority, port = Authority(), free_port()
    pairs = [authority.sign("localhost") for _ in range(2)]  # good for a day: within the two weeks
    chain, key = tmp_path / "server.pem", tmp_path / "server.key"
    files = Encrypted(Address(host=HOST, port=port), chain, key)

    def bring(cert: str, private: str) -> None:
        chain.write_text(cert)
        key.write_text(private)

    def parsed(pem: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate(pem.encode())

    async def run() -> None:
        bring(pairs[0].cert, pairs[0].key)
        async with Listening(files, authority.cert) as listening:
            noted: list[State] = []
            keeper = Keeper(files, listening.context, lambda _, state: noted.append(state), lambda _: None)
            keeper.look()
            keeper.look()
            assert {(state.status, state.name, state.project) for state in noted} == {("ending", "platform", "*")}
            assert caplog.text.count("the certificate of the TLS listener ends on") == 1
            assert str(chain) in caplog.text and chain.read_text() == pairs[0].cert
            bring(pairs[1].cert, pairs[0].key)  # half of a replacement
            noted.clear()
            with pytest.raises(PlatformError, match="not that of the first certificate"):
                keeper.look()
            assert [state.status for state in noted] == ["ending"]  # of what clients see, whatever the files are
            assert await shown(port, authority.cert) == parsed(pairs[0].cert)
            bring(pairs[1].cert, pairs[1].key)
            keeper.look()
            assert await shown(port, authority.cert) == parsed(pairs[1].cert)
            assert b"204" in await listening.ask()

    asyncio.run(run())


class Webhook(http.server.BaseHTTPRequestHandler):
    """Takes alerts."""

    heard: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        self.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


def test_the_end_of_the_platform_s_own_is_an_alert_to_who_is_for_all_projects(tmp_path: Path) -> None:
    pair, chain, key = Authority().sign("localhost"), tmp_path / "server.pem", tmp_path / "server.key"
    chain.write_text(pair.cert)
    key.write_text(pair.key)
    files = ["--tls-chain", str(chain), "--tls-key", str(key)]
    Webhook.heard.clear()
    with http.server.ThreadingHTTPServer((HOST, 0), Webhook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with PlatformProcess(tmp_path / "cloud", options=["--tls", f"{HOST}:{free_port()}", *files]) as platform:
            url = f"http://{HOST}:{server.server_port}"
            platform.client.create_alert(name="east", url=f"{url}/east", projects=["east"])
            platform.client.create_alert(name="all", url=f"{url}/all")
            wait_until(lambda: bool(Webhook.heard), "an alert")
            platform.client.delete_alert("all")
            platform.client.delete_alert("east")
        server.shutdown()
    [told] = Webhook.heard
    assert (told["kind"], told["project"], told["name"]) == ("certificate", "*", "platform")
    assert (told["before"], told["after"], str(chain) in told["hint"]) == ("good", "ending", True)


def test_what_nobody_can_mend_is_told(tmp_path: Path) -> None:
    state = state_with(tmp_path, self_signed("platform", ["localhost"], NOW))
    (state / KEY).unlink()
    (state / AUTHORITY_KEY).unlink()
    with pytest.raises(NoTls, match="to have all made anew"):
        encrypted(options(["--state", str(state), "--tls", f"{HOST}:1"]), state)


def test_one_whose_authority_cannot_sign_is_left_alone(tmp_path: Path) -> None:
    old = self_signed("platform", ["localhost"], datetime.now(UTC) - 820 * DAY)
    state = state_with(tmp_path, old)
    (state / AUTHORITY_KEY).unlink()
    found = encrypted(options(["--state", str(state), "--tls", f"{HOST}:1"]), state)
    assert found is not None
    assert found.certificate().authority_key == ""
    assert (state / CHAIN).read_text() == old.chain
