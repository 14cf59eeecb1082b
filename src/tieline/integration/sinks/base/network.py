"""Where servers are, and what the failures of the way to them mean, whatever they speak."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Collection
from email.utils import parsedate_to_datetime

from tieline.integration.sinks.base.failures import Unavailable
from tieline.integration.sinks.base.kind import Resource
from tieline.integration.sinks.base.reach import Forbidden


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


def places(resource: Resource) -> set[tuple[str, int]]:
    """Where a resource may be connected to: its own servers, and those that its address map leads to."""
    known: dict[str, str] = getattr(resource, "address_map", {})
    texts = [resource.address, *known.values()]
    return {(host.lower(), port) for text in texts for host, port in addresses(text, resource.PORT)}


def announced(resource: Resource, place: tuple[str, int]) -> tuple[str, int]:
    """Where a member of a cluster is reached that is said to be at a place: the address map's word goes first."""
    host, port = place
    known: dict[str, str] = getattr(resource, "address_map", {})
    found = known.get(f"{host}:{port}") or known.get(f"[{host}]:{port}")
    return addresses(found)[0] if found else place


def agreed(resource: Resource, place: tuple[str, int], also: Collection[tuple[str, int]] = ()) -> None:
    """Raises Forbidden for a place that a server sends us to, and that is neither the resource's nor one of `also`."""
    host, port = place
    if place not in also and (host.lower(), port) not in places(resource):
        shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        raise Forbidden(
            f"{resource.address} sends us to {shown}, which this resource does not name",
            f"add {shown} to address_map, with the address where it is reached from here, or to the resource's servers",
        )


def retry_after(header: str) -> float:
    """The seconds for which a server asks to be left alone (RFC 9110, 10.2.3); 0 where it says nothing of the kind."""
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (TypeError, ValueError):
        return 0.0


def described(error: BaseException) -> str:
    """An error's kind and text."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def hung_up(server: str, cause: str) -> Unavailable:
    """A server that ended a connection before it answered anything on it.

    With TLS 1.3 a client learns in no other way that its certificate is missing (RFC 8446, section 4.4.2.4).
    """
    hint = "check the port, as TLS and plain connections have one each, and whether it wants a client certificate"
    return Unavailable("tls", f"{server} ended the connection at its beginning", hint, cause)


#: Errors that arise in our own process while rows become what is sent, and not on the way.
OURS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)


def unreachable(error: BaseException, server: str, encrypted: bool = False, sent: bool = False) -> Unavailable:
    """What a failure of the way to the server means. `encrypted`: it came when TLS was to be agreed on; `sent`: it came
    when rows were being written, so that one of them may be the reason.
    """
    if sent and isinstance(error, OURS) and not isinstance(error, OSError):
        said = described(error)
        return Unavailable("statement", f"a row could not be sent: {said}", "correct the rule", said, came="answer")
    found = _of_way(error, server, encrypted)
    if sent:
        found.came = "silence"
    return found


def _of_way(error: BaseException, server: str, encrypted: bool) -> Unavailable:
    cause = described(error)
    if isinstance(error, Forbidden):
        return Unavailable("address", str(error), error.hint, cause)
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
