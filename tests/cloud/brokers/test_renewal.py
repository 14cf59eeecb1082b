"""The certificate of a broker's TLS listener is renewed at start and while it runs; devices on the line stay on it."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from certificates import Authority
from cloud.brokers.test_broker import Device, change, settled
from platforms import AgentProcess, PlatformProcess
from servers import free_port, wait_until
from tieline.base.secrets import Vault
from tieline.cloud.deployments.listeners import certificate, certified
from tieline.cloud.deployments.renewals import Renewals
from tieline.cloud.model.records import Address, Deployment
from tieline.cloud.store.repository import Repository
from tieline.cloud.tls.certificates import renewed, self_signed
from tieline.store import SQLiteStore

DAY = timedelta(days=1)
PLACE = Address(host="127.0.0.1", port=1)


def records(state: Path) -> tuple[Repository, Vault]:
    return Repository(SQLiteStore(state / "cloud.db")), Vault.open(state / "secret.key")


def age(state: Path, days: int) -> None:
    """Give `plant` a certificate that its own authority signed so many days ago."""
    found, vault = records(state)
    (plant,) = found.all(Deployment)
    old = renewed(certificate(vault, plant), datetime.now(UTC) - days * DAY)
    found.commit(write=[certified(vault, plant, old)])
    found.close()


def shown(port: int, authority: str) -> x509.Certificate:
    context = ssl.create_default_context(cadata=authority)
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        der = secure.getpeercert(binary_form=True)
    assert der
    return x509.load_der_x509_certificate(der)


def test_devices_see_another_certificate_and_those_connected_stay(tmp_path: Path) -> None:
    port = free_port()
    with PlatformProcess(tmp_path / "cloud") as platform:
        client = platform.client
        mqtt = {"host": "127.0.0.1", "port": free_port()}
        made = client.create_deployment(name="plant", provider="external", mqtt=mqtt, anonymous=True)
        with AgentProcess(platform.url, made.join_token, tmp_path / "agent") as agent:
            wait_until(lambda: agent.alive() and client.deployment("plant").agent.connected, "the agent")
            change(client, mqtts={"host": "127.0.0.1", "port": port})
            settled(client)
            authority = client.certificate("plant")
            first = shown(port, authority)
            with Device(port, authority=authority) as staying:
                staying.subscribe("t")
                platform.stop()
                age(platform.state, days=560)
                platform.start()
                wait_until(lambda: shown(port, authority) != first, "another certificate")
                with Device(port, authority=authority) as new:
                    new.publish("t", b"across")
                wait_until(lambda: staying.got == [b"across"], "what the new one says")
                assert not staying.ended
            found = client.deployment("plant")
            assert client.certificate("plant") == authority
            assert found.tls_certificate is not None and found.tls_certificate.renewed
            assert found.tls_certificate.ends[:10] == f"{shown(port, authority).not_valid_after_utc:%Y-%m-%d}"
            assert [entry.who for entry in found.history if entry.event == "certificate renewed"] == ["platform"]


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[tuple[Repository, Vault]]:
    found, vault = records(tmp_path)
    known = {"id": "dep-1", "name": "plant", "provider": "external", "token_hash": "", "created": ""}
    places = {"mqtt": PLACE, "mqtts": PLACE, "broker": PLACE}
    found.commit(write=[Deployment.model_validate(known | places)])
    yield found, vault
    found.close()


def test_people_s_own_is_never_touched_and_its_end_is_told_once_a_day(
    plant: tuple[Repository, Vault], caplog: pytest.LogCaptureFixture
) -> None:
    found, vault = plant
    pair = Authority().sign("localhost")
    key = vault.encrypt(pair.key)
    found.update(Deployment, "dep-1", lambda now: now.model_copy(update={"certificate": pair.cert, "tls_key": key}))
    before, now, told = found.get(Deployment, "dep-1"), [datetime.now(UTC)], list[str]()
    renewals = Renewals(found, vault, told.append, lambda: now[0])
    for _ in range(3):
        renewals.look()
    assert caplog.text.count("deployment plant ends on") == 1
    assert "tieline deployment change plant --chain FILE --key FILE" in caplog.text
    now[0] += 2 * DAY
    renewals.look()
    assert caplog.text.count("deployment plant ended on") == 1
    assert (found.get(Deployment, "dep-1"), told) == (before, [])


def test_one_that_cannot_be_read_stops_no_other(
    plant: tuple[Repository, Vault], caplog: pytest.LogCaptureFixture
) -> None:
    found, vault = plant
    caplog.set_level(logging.ERROR)
    one = found.get(Deployment, "dep-1")
    assert one is not None
    broken = one.model_copy(update={"certificate": "none"})
    found.commit(write=[broken, one.model_copy(update={"id": "dep-2", "version": 0, "name": "north"})])
    old = self_signed("north", ["localhost"], datetime.now(UTC) - 600 * DAY)
    found.update(Deployment, "dep-2", lambda now: certified(vault, now, old))
    told: list[str] = []
    Renewals(found, vault, told.append).look()
    assert told == ["dep-2"]
    north = found.get(Deployment, "dep-2")
    assert north is not None and north.authority == old.authority and north.certificate != old.chain
    assert vault.decrypt(north.tls_key) not in ("", old.key)
    assert "the certificate of plant" in caplog.text
