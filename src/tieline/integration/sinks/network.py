"""Where servers are, and what the failures of the way to them mean, whatever they speak."""

from __future__ import annotations

import errno
import socket
import ssl

from tieline.integration.sinks.failures import Unavailable


def address(server: str, default: int = 0) -> tuple[str, int]:
    """Host and port of `host`, `host:port`, `[v6]` or `[v6]:port`; raises ValueError, also where no port is known."""
    host, separator, port = server.strip().rpartition(":")
    if not separator or port.endswith("]") or (host.count(":") and not host.startswith("[")):
        host, port = server.strip(), str(default or "")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{server}: {port or 'nothing'} is no port, which is 1 to 65535")
    if not host.strip("[]"):
        raise ValueError(f"{server}: a host is missing")
    return host.strip("[]"), int(port)


#: The ports of URLs that name none (RFC 9110, 4.2).
_SCHEMES = {"http": 80, "https": 443}


def addresses(servers: str, default: int = 0) -> list[tuple[str, int]]:
    """The hosts and ports of a URL, or of servers with commas between them; raises ValueError."""
    scheme, separator, rest = servers.strip().partition("://")
    if separator:
        return [address(rest.split("/", 1)[0].rpartition("@")[2], _SCHEMES.get(scheme.lower(), default))]
    return [address(server, default) for server in servers.split(",")]


def described(error: BaseException) -> str:
    """An error's kind and text."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def hung_up(server: str, cause: str) -> Unavailable:
    """A server that ended a connection before it answered anything on it.

    With TLS 1.3 a client learns in no other way that its certificate is missing (RFC 8446, section 4.4.2.4).
    """
    hint = "check the port, as TLS and plain connections have one each, and whether it wants a client certificate"
    return Unavailable("tls", f"{server} ended the connection at its beginning", hint, cause)


def unreachable(error: BaseException, server: str, encrypted: bool = False) -> Unavailable:
    """What a failure of the way to the server means. `encrypted`: it came when TLS was to be agreed on."""
    cause = described(error)
    if isinstance(error, socket.gaierror):
        return Unavailable("name", f"the name of {server} is not known here", "check the address of the link", cause)
    if isinstance(error, ssl.SSLError):
        hint = "check the CA certificate and the server name, or turn verification off"
        return Unavailable("tls", f"{server} did not agree on TLS: {error}", hint, cause)
    if isinstance(error, TimeoutError) and encrypted:
        hint = "turn TLS on in the server, or off in the resource"
        return Unavailable("tls", f"{server} did not agree on TLS in time", hint, cause)
    if isinstance(error, TimeoutError):
        return Unavailable("tcp", f"{server} did not answer in time", "check the target's health and firewalls", cause)
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EINVAL):
        return Unavailable("address", f"no route leads to {server}", "check the link and the address", cause)
    if isinstance(error, ConnectionRefusedError):
        return Unavailable("tcp", f"{server} refused the connection", "check the port, and that it listens", cause)
    return Unavailable("tcp", f"the connection to {server} broke", "it is tried again", cause)
