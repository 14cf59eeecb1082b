"""A resource's TLS settings as a context that clients take; PEM texts never touch a disk."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from typing import Any

from tieline.integration.sinks.base.kind import Ssl


class _NamedContext(ssl.SSLContext):
    """Verifies and sends a name of its own instead of the address that is connected to.

    Behind a private link the address is the link's name, while the certificate has the server's.
    """

    name = ""
    names: dict[str, str]  # of the addresses that clients are given in place of names

    def _named(self, options: dict[str, Any]) -> dict[str, Any]:
        given = options.get("server_hostname")
        return options | {"server_hostname": self.name or self.names.get(given or "", given)}

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        return super().wrap_bio(*args, **self._named(options))

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        return super().wrap_socket(*args, **self._named(options))


def context(settings: Ssl, names: Mapping[str, str] | None = None) -> ssl.SSLContext | None:
    """The context for these settings, None where TLS is off; raises ssl.SSLError for PEM texts that cannot be read.

    `names` are the servers' own, by the addresses that a client connects to in place of them.
    """
    if not settings.enable:
        return None
    made = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    made.name, made.names = settings.server_name, dict(names or {})
    if not settings.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    elif settings.cacert:
        made.load_verify_locations(cadata=settings.cacert)
    else:
        made.load_default_certs()
    if settings.cert:
        _load_chain(made, settings.cert, settings.key)
    return made


def note(context: ssl.SSLContext | None, address: str, name: str) -> None:
    """Let a context of ours know whose address it is that a client connects to."""
    if isinstance(context, _NamedContext):
        context.names[address] = name


def _load_chain(context: ssl.SSLContext, cert: str, key: str) -> None:
    """Load a client certificate: the library reads files only, so the texts go through one that is in memory."""
    descriptor = os.memfd_create("client-certificate")
    try:
        with open(descriptor, "w", closefd=False) as file:
            file.write(f"{cert}\n{key}\n")
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
