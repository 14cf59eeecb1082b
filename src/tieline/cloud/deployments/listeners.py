"""Where devices reach a deployment's broker: plain, with TLS, over WebSocket; addresses that clash are refused."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from tieline.base.secrets import Vault
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import ANONYMOUS, ORIGINS, Address, Anonymous, Deployment
from tieline.cloud.tls.certificates import Certificate, given, self_signed

MQTT_PORT = 1883
Origin = Annotated[  # RFC 6454, 6.2: no path, and the port only where it is not the scheme's own
    str,
    Field(pattern=r"^(\*|null|[a-z][a-z0-9+.-]*://[^\s/?#@,]+)$", max_length=300, examples=["https://app.example.com"]),
]
LOCAL = ("localhost", "127.0.0.1")  # names that a certificate of ours is good for besides the listener's own


class GivenCertificate(BaseModel):
    """A certificate for the TLS listener."""

    model_config = ConfigDict(extra="forbid")

    chain: str = Field(max_length=100_000, description="PEM: the server's certificate, then the intermediate ones")
    key: SecretStr = Field(max_length=20_000, description="PEM: the unencrypted private key")


class Listening(BaseModel):
    """The listeners of a broker beside the plain one, and whether devices need a user."""

    mqtts: Address | None = Field(default=None, description="MQTT over TLS; without a certificate one is made")
    websocket: Address | None = Field(default=None, description="MQTT over WebSocket")
    certificate: GivenCertificate | None = None
    anonymous: Anonymous = Field(default=False, description=ANONYMOUS)
    websocket_origins: tuple[Origin, ...] = Field(default=(), max_length=100, description=ORIGINS)


LISTENERS = ("mqtts", "websocket", "anonymous", "websocket_origins")


def with_listeners(vault: Vault, deployment: Deployment, wanted: Listening, others: Iterable[Deployment]) -> Deployment:
    """The deployment with the listeners that were asked for; raises PlatformError where an address is taken."""
    asked = {name: getattr(wanted, name) for name in LISTENERS if name in wanted.model_fields_set}
    taken = [address for other in others if other.id != deployment.id for address in addresses(other)]
    for name in ("mqtts", "websocket"):
        address = asked.get(name)
        if address is not None and address != getattr(deployment, name):
            check_free(address, [*taken, *addresses(deployment)], bound_here=not deployment.joined_by_hand)
    if deployment.websocket is None and asked.get("websocket") and deployment.websocket_origins is None:
        asked.setdefault("websocket_origins", ())  # nobody relies on more yet
    changed = deployment.model_copy(update=asked)
    _check_distinct(changed)
    return changed.model_copy(update=_certified(vault, changed, wanted.certificate))


def addresses(deployment: Deployment) -> list[Address]:
    """Every address that devices of a deployment connect to."""
    return [address for address in (deployment.mqtt, deployment.mqtts, deployment.websocket) if address]


def mqtt_address(wanted: Address | None, taken: list[Address], bound_here: bool) -> Address:
    """The address for devices: the one asked for, else 1883 on loopback, else any free port there."""
    if wanted:
        check_free(wanted, taken, bound_here)
        return wanted
    usual = Address(host="127.0.0.1", port=MQTT_PORT)
    if usual not in taken and _free(usual):
        return usual
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return Address(host="127.0.0.1", port=any_port.getsockname()[1])


def check_free(address: Address, taken: Iterable[Address], bound_here: bool) -> None:
    """Raises PlatformError where another listener has this address; `bound_here` asks this machine, too."""
    if address in taken or (bound_here and not _free(address)):
        raise PlatformError(409, "PORT_TAKEN", f"{address} is in use already", "choose another port, or none")


def _check_distinct(deployment: Deployment) -> None:
    found = addresses(deployment)
    if len(set(found)) < len(found):
        raise PlatformError(409, "PORT_TAKEN", "two listeners have the same address", "choose different ports")


def _certified(vault: Vault, deployment: Deployment, brought: GivenCertificate | None) -> dict[str, Any]:
    """The certificate's fields where they change: brought by people, or made at the first TLS listener."""
    if brought is not None:
        return _fields(vault, given(brought.chain, brought.key.get_secret_value()))
    if deployment.mqtts is None or deployment.certificate:
        return {}
    names = dict.fromkeys([deployment.mqtts.host, deployment.name, *LOCAL])
    return _fields(vault, self_signed(deployment.name, list(names), datetime.now(UTC)))


def certificate(vault: Vault, deployment: Deployment) -> Certificate:
    """The certificate of a deployment's TLS listener."""
    key, authority_key = vault.decrypt(deployment.tls_key), vault.decrypt(deployment.authority_key)
    return Certificate(deployment.certificate, key, deployment.authority, authority_key)


def certified(vault: Vault, deployment: Deployment, found: Certificate) -> Deployment:
    """The deployment with another certificate."""
    return deployment.model_copy(update=_fields(vault, found))


def _fields(vault: Vault, found: Certificate) -> dict[str, Any]:
    keys = {"tls_key": vault.encrypt(found.key), "authority_key": vault.encrypt(found.authority_key)}
    return {"certificate": found.chain, "authority": found.authority, **keys}


def _free(address: Address) -> bool:
    """Whether the address can be listened on at this moment."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((address.host, address.port))
        except (OSError, OverflowError):
            return False
        return True
