"""The platform's TLS listener, for agents and people on other machines; the plain one stays on loopback."""

from __future__ import annotations

import argparse
import logging
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tieline.base import hostport
from tieline.base.periodic import rounds
from tieline.base.secrets import write_private
from tieline.cloud.alerts.transitions import State
from tieline.cloud.alerts.transitions import certificate as certificate_state
from tieline.cloud.deployments.renewals import Warnings
from tieline.cloud.guard.records import EVERY
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import Address
from tieline.cloud.tls.certificates import (
    Certificate,
    Renewal,
    Validity,
    given,
    names_of,
    renewal,
    renewed,
    self_signed,
    validity,
)

log = logging.getLogger(__name__)

CHAIN, KEY, AUTHORITY = "tls-chain.pem", "tls-key.pem", "tls-authority.pem"  # files of the state directory
AUTHORITY_KEY = "tls-authority-key.pem"  # signs the next certificate
LOOK_SECONDS = 60.0  # between two looks at the files: people replace theirs
NAME = "platform"  # in alerts
ANY = ("0.0.0.0", "::")  # every address of the machine: no name for a certificate


class NoTls(Exception):
    """The listener cannot be offered; the message says why, and what helps."""


@dataclass(frozen=True)
class Encrypted:
    """Where it listens, and its certificate and key as files; `ours` is their directory where they were made here."""

    address: Address
    chain: Path
    key: Path
    ours: Path | None = None

    def certificate(self) -> Certificate:
        """The certificate as the files have it; raises OSError, and PlatformError where they are no pair."""
        found = given(self.chain.read_text(), self.key.read_text())
        signing = self.ours / AUTHORITY_KEY if self.ours else None
        if self.ours is None or signing is None or not signing.exists():
            return found
        return Certificate(found.chain, found.key, (self.ours / AUTHORITY).read_text(), signing.read_text())


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the listener."""
    parser.add_argument("--tls", type=address, metavar="HOST:PORT", help="serve with TLS here, too")
    parser.add_argument("--tls-name", action="append", default=[], metavar="NAME", help="in the certificate made here")
    parser.add_argument("--tls-chain", type=Path, help="PEM file: the server's certificate and those above it")
    parser.add_argument("--tls-key", type=Path, help="PEM file: its unencrypted key")


def address(text: str) -> Address:
    """HOST:PORT; raises ArgumentTypeError."""
    try:
        host, port = hostport.read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT, for example 0.0.0.0:8443: {error}") from None
    return Address(host=host, port=port)


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
        except (OSError, UnicodeDecodeError, PlatformError) as error:
            raise NoTls(f"--tls-chain, --tls-key: {getattr(error, 'message', error)}") from error
        return Encrypted(chosen.tls, chosen.tls_chain, chosen.tls_key)
    made = Encrypted(chosen.tls, state / CHAIN, state / KEY, ours=state)
    if not made.chain.exists():
        own = [] if chosen.tls.host in ANY else [chosen.tls.host]
        names = dict.fromkeys([*chosen.tls_name, *own, socket.gethostname(), "localhost"])
        _write(state, self_signed("platform", list(names), datetime.now(UTC)))
    _mend(made, state)
    return made


def _mend(made: Encrypted, state: Path) -> None:
    """Sign another certificate where an end between two writes left no pair; raises NoTls where nothing can."""
    try:
        made.certificate()
    except (OSError, ValueError, PlatformError) as error:
        log.warning("the certificate of the TLS listener is made anew: %s", getattr(error, "message", error))
        try:
            authority, signing = (state / AUTHORITY).read_text(), (state / AUTHORITY_KEY).read_text()
            found = renewed(Certificate(made.chain.read_text(), "", authority, signing), datetime.now(UTC))
        except (OSError, ValueError) as broken:
            raise NoTls(f"{broken}; remove {made.chain} to have all made anew, its authority too") from broken
        _write(state, found)


def _write(state: Path, certificate: Certificate) -> None:
    """The chain last: where it is, the others are. An end in between leaves no pair, see `_mend`."""
    write_private(state / AUTHORITY_KEY, certificate.authority_key)
    write_private(state / AUTHORITY, certificate.authority)
    write_private(state / KEY, certificate.key)
    write_private(state / CHAIN, certificate.chain)


class Keeper:
    """Keeps the listener's certificate good: renews ours in time, takes what people put in place of theirs, and warns.

    Connections that are open go on as they are; the next ones see the new certificate. `note` hears how it is,
    `named` which names it is for.
    """

    def __init__(
        self,
        files: Encrypted,
        context: ssl.SSLContext,
        note: Callable[[str, State], None],
        named: Callable[[Iterable[str]], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._files, self._context, self._note, self._named, self._clock = files, context, note, named, clock
        self._loaded = files.certificate()
        self._named(names_of(self._loaded.chain))
        self._warnings = Warnings()

    async def run(self) -> None:
        """Look at once, and then for ever."""

        def look() -> None:
            try:
                self.look()
            except (OSError, ValueError, PlatformError) as error:
                log.warning("the certificate of the TLS listener stays as it is: %s", getattr(error, "message", error))

        await rounds("certificate", look, LOOK_SECONDS)

    def look(self) -> None:
        """Renew and take what is to be; raises OSError, ValueError, PlatformError where the files are of no use.

        Whatever the files are, the end of the certificate that is shown to clients is told.
        """
        now = self._clock()
        try:
            self._take(now)
        finally:
            self._warn(now)

    def _take(self, now: datetime) -> None:
        found = self._files.certificate()
        if self._files.ours and renewal(_validity(found), now) is Renewal.DUE:
            found = renewed(found, now)
            _write(self._files.ours, found)
            log.info("the certificate of the TLS listener was renewed, by the same authority")
        if (found.chain, found.key) != (self._loaded.chain, self._loaded.key):
            self._context.load_cert_chain(self._files.chain, self._files.key)
            self._loaded = found
            self._named(names_of(found.chain))
            log.info("the TLS listener has another certificate from now on")

    def _warn(self, now: datetime) -> None:
        shown, hint = _validity(self._loaded), self._hint()
        self._note("TLS listener", certificate_state(shown, now, hint, deployment="", name=NAME, project=EVERY))
        if renewal(shown, now) in (Renewal.ENDING, Renewal.ENDED):
            self._warnings.ending("the TLS listener", shown.ends, now, hint)

    def _hint(self) -> str:
        if self._files.ours is None:
            return f"put another one in place of {self._files.chain} and {self._files.key}: it is taken while we run"
        return f"remove {self._files.chain} and start again, then give agents the new {AUTHORITY}"


def _validity(found: Certificate) -> Validity:
    return validity(found.chain, found.authority, ours=bool(found.authority_key))


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
