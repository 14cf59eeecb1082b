"""The platform's TLS listener, for agents and people on other machines; the plain one stays on loopback."""

from __future__ import annotations

import argparse
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tieline.cloud.certificates import given, self_signed
from tieline.cloud.problems import PlatformError
from tieline.cloud.records import Address
from tieline.cloud.secrets import write_private

CHAIN, KEY, AUTHORITY = "tls-chain.pem", "tls-key.pem", "tls-authority.pem"  # files of the state directory
ANY = ("0.0.0.0", "::")  # every address of the machine: no name for a certificate


class NoTls(Exception):
    """The listener cannot be offered; the message says why, and what helps."""


@dataclass(frozen=True)
class Encrypted:
    """Where it listens, and its certificate and key as files."""

    address: Address
    chain: Path
    key: Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the listener."""
    parser.add_argument("--tls", type=address, metavar="HOST:PORT", help="serve with TLS here, too")
    parser.add_argument("--tls-name", action="append", default=[], metavar="NAME", help="in the certificate made here")
    parser.add_argument("--tls-chain", type=Path, help="PEM file: the server's certificate and those above it")
    parser.add_argument("--tls-key", type=Path, help="PEM file: its unencrypted key")


def address(text: str) -> Address:
    """HOST:PORT; raises ValueError."""
    host, _, port = text.rpartition(":")
    return Address(host=host.strip("[]"), port=int(port))


def encrypted(chosen: argparse.Namespace, state: Path) -> Encrypted | None:
    """The listener that the options describe, None where there is to be none; raises NoTls.

    Without a certificate one is made, once, and with it the authority that agents verify it with.
    """
    if chosen.tls is None:
        return None
    if bool(chosen.tls_chain) != bool(chosen.tls_key):
        raise NoTls("--tls-chain and --tls-key go together")
    if chosen.tls_chain:
        try:
            given(chosen.tls_chain.read_text(), chosen.tls_key.read_text())
        except (OSError, PlatformError) as error:
            raise NoTls(f"--tls-chain, --tls-key: {getattr(error, 'message', error)}") from error
        return Encrypted(chosen.tls, chosen.tls_chain, chosen.tls_key)
    made = Encrypted(chosen.tls, state / CHAIN, state / KEY)
    if not made.chain.exists():
        own = [] if chosen.tls.host in ANY else [chosen.tls.host]
        names = dict.fromkeys([*chosen.tls_name, *own, socket.gethostname(), "localhost"])
        certificate = self_signed("platform", list(names), datetime.now(UTC))
        write_private(made.key, certificate.key)
        write_private(state / AUTHORITY, certificate.authority)
        write_private(made.chain, certificate.chain)
    return made


def listener(host: str, port: int) -> socket.socket:
    """The listening socket; raises OSError.

    Its protocol is named, for only then asyncio sends small answers without delay.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening
