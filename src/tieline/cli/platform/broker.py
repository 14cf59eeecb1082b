"""Addresses on the command line: where devices connect, and a broker that somebody brings."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from tieline.base import hostport
from tieline.cli.files import text
from tieline.client.rest import ClientError
from tieline.cloud.model.records import Address

PORTS = {"mqtt": 1883, "mqtts": 8883}  # IANA's


def address(given: str) -> Address:
    """host:port; raises ClientError."""
    try:
        host, port = hostport.read(given)
    except ValueError as error:
        hint = "for example 127.0.0.1:1883"
        raise ClientError("INVALID_ADDRESS", f"{given!r} is no host:port: {error}", hint) from error
    return Address(host=host, port=port)


def remote(url: str, password: str, authority: Path | None) -> dict[str, object]:
    """A broker as REST takes it; raises ClientError. A password in the URL would be in everybody's process list."""
    hint = "for example mqtts://writer@emqx.example.com:8883, its password in TIELINE_BROKER_PASSWORD"
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError) as error:
        raise ClientError("INVALID_BROKER", f"{url!r} is no address of a broker", hint) from error
    if not parts.hostname or parts.path.strip("/") or parts.password:
        raise ClientError("INVALID_BROKER", "expected mqtt[s]://[user@]host:port, and no password in it", hint)
    found: dict[str, object] = {"host": parts.hostname, "port": port, "tls": parts.scheme == "mqtts"}
    if authority is not None:
        found["authority"] = text(authority, "--broker-authority")
    return found | {"username": unquote(parts.username or ""), "password": password}
