"""TLS to a database as the form of a resource offers it: authority, client certificate, and the name to verify."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from certificates import Authority, Pair
from integration.world import flow
from servers import PostgreSQL
from tieline.integration.config.shapes import Ssl
from tieline.integration.worker.probe import ProbeFailed, probe

pytestmark = pytest.mark.world

NAME = "db.customer.example"


class Secured:
    """A PostgreSQL that lets in only clients with a certificate of its authority."""

    def __init__(self) -> None:
        self.authority = Authority()
        self.client: Pair = self.authority.sign("app")
        self.server = PostgreSQL()
        pair = self.authority.sign(NAME)
        files = {"ssl_cert_file": pair.cert, "ssl_key_file": pair.key, "ssl_ca_file": self.authority.cert}
        settings = [f"{name}={self.server.write(name, text)}" for name, text in files.items()]
        access = self.server.write(
            "access.conf", "local all all trust\nhostssl all all all scram-sha-256 clientcert=verify-ca\n"
        )
        self.server.options = ("ssl=on", f"hba_file={access}", *settings)


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    made = Secured()
    with made.server:
        yield made


def settings(secured: Secured, **changes: object) -> Ssl:
    known: dict[str, object] = {
        "enable": True,
        "cacert": secured.authority.cert,
        "cert": secured.client.cert,
        "key": secured.client.key,
        "server_name": NAME,
    }
    return Ssl(**(known | changes))  # type: ignore[arg-type]


async def failing(secured: Secured, **changes: object) -> ProbeFailed:
    with pytest.raises(ProbeFailed) as caught:
        await probe(flow.resource(secured.server, ssl=settings(secured, **changes)), (), 5)
    return caught.value


async def test_the_whole_form(secured: Secured) -> None:
    await probe(flow.resource(secured.server, ssl=settings(secured)))
    await probe(flow.resource(secured.server, ssl=settings(secured, verify=False, cacert="", server_name="")))


async def test_a_wrong_name(secured: Secured) -> None:
    failed = await failing(secured, server_name="other.example")
    assert (failed.hop, "other.example" in failed.cause) == ("tls", True)


async def test_an_unknown_authority(secured: Secured) -> None:
    failed = await failing(secured, cacert=Authority("another").cert)
    assert (failed.hop, "verify failed" in failed.cause) == ("tls", True)


async def test_a_missing_client_certificate(secured: Secured) -> None:
    failed = await failing(secured, cert="", key="")
    assert (failed.hop, "certificate" in failed.cause) == ("login", True)


async def test_a_key_that_cannot_be_read(secured: Secured) -> None:
    assert (await failing(secured, key="nonsense")).hop == "tls"


async def test_tls_that_the_server_wants(secured: Secured) -> None:
    with pytest.raises(ProbeFailed) as caught:
        await probe(flow.resource(secured.server), (), 5)
    assert (caught.value.hop, "no encryption" in caught.value.cause) == ("login", True)
