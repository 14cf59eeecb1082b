"""Which addresses may be connected to: judged after names are resolved, on the very addresses that are connected to.

Every client of a sink connects by what is here, whatever it speaks; the platform judges the texts that people write by
the same functions. So neither a spelling (`0x7f000001`, `127.1`, `::ffff:7f00:1`) nor a name that resolves to such an
address, or does so the second time it is asked, leads to what a resource may not reach.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import unicodedata
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final

from tieline.integration.sinks.base.kind import Value

Ip = IPv4Address | IPv6Address

#: What inet_aton(3) takes for an address of version 4: one to four numbers, each decimal, octal or hexadecimal.
_NUMBERS: Final = re.compile(r"(0x[0-9a-f]*|\d+)(\.(0x[0-9a-f]*|\d+)){0,3}", re.IGNORECASE)
#: Addresses of version 6 that carry one of version 4 in their last 32 bits (RFC 4291, 2.5.5; RFC 6052, 2.1).
_CARRIERS: Final = tuple(map(ip_network, ("::ffff:0:0/96", "64:ff9b::/96", "::/96")))
#: Of the machine itself: "this network" (RFC 1122, 3.2.1.3), broadcast, AWS's metadata service over version 6.
_ITS_OWN: Final = tuple(map(ip_network, ("0.0.0.0/8", "255.255.255.255/32", "fd00:ec2::/32")))
METADATA: Final = "link-local addresses lead to the machine's own services"
LIMIT: Final = 1 << 16  # asyncio's own
LOOPBACK: Final = "the loopback of a deployment leads to the platform itself"


class Reach(Value, frozen=True, kw_only=True):
    """Where a deployment's agent may connect to for its resources."""

    loopback: bool = True  # not where the agent is in a network of the platform's
    allowed: tuple[str, ...] = ()  # networks that the operator allows in so many words


class Forbidden(OSError):
    """An address that may not be connected to, or that nobody agreed to: the message says why, `hint` what helps."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


_now = Reach()


def use(reach: Reach) -> None:
    """Let this process connect to these from now on."""
    global _now
    _now = reach


def number(host: str) -> Ip | None:
    """The address that a host's text means, in any spelling that some resolver takes; None for a name."""
    text = unicodedata.normalize("NFKC", host).replace("\u3002", ".").strip().strip("[]").rstrip(".")
    try:
        return plain(ip_address(text))
    except ValueError:
        pass
    if not _NUMBERS.fullmatch(text):
        return None
    try:
        return IPv4Address(socket.inet_aton(text))
    except OSError:
        return None


def plain(address: Ip) -> Ip:
    """The address of version 4 that one of version 6 leads to, or the address itself."""
    if isinstance(address, IPv4Address):
        return address
    low = int(address) & 0xFFFFFFFF
    if low > 1 and any(address in network for network in _CARRIERS):
        return IPv4Address(low)
    return address.sixtofour or (address.teredo[1] if address.teredo else address)


def refusal(address: Ip, reach: Reach | None = None) -> str:
    """Why an address may not be connected to; "" where it may."""
    reach, address = reach or _now, plain(address)
    if any(within(address, entry) for entry in reach.allowed):
        return ""
    if address.is_link_local or address.is_unspecified or address.is_multicast:
        return METADATA
    if any(address in network for network in _ITS_OWN):
        return METADATA
    return LOOPBACK if address.is_loopback and not reach.loopback else ""


def within(address: Ip, entry: str) -> bool:
    """Whether an entry of an allow-list is a network that has the address."""
    try:
        return address in ip_network(entry)
    except ValueError:
        return False


def judged(host: str, found: Sequence[Any], reach: Reach | None = None) -> list[str]:
    """The addresses of what getaddrinfo found for a host, in order; raises Forbidden where one of them is refused."""
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in addresses:
        if why := refusal(ip_address(text), reach):
            named = host if host == text else f"{host}, which is {text} here,"
            raise Forbidden(
                f"{named} may not be connected to: {why}",
                "name another address, reach it through a private link, or ask the operator",
            )
    return addresses


async def resolved(host: str, port: int, reach: Reach | None = None) -> list[str]:
    """The addresses of a host, in order; raises OSError, Forbidden among it."""
    loop = asyncio.get_running_loop()
    return judged(host, await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM), reach)


def resolved_now(host: str, port: int) -> list[str]:
    """The same for a client that blocks."""
    return judged(host, socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


async def open_connection(
    host: str, port: int, context: ssl.SSLContext | None = None, *, name: str = "", limit: int = LIMIT
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first of a host's addresses that takes one; raises OSError, Forbidden among it.

    `name`: what TLS verifies instead of the host. `limit`: bytes that are kept unread.
    """
    last: OSError = OSError(f"{host} has no address")
    for address in await resolved(host, port):
        try:
            return await asyncio.open_connection(
                address, port, ssl=context, server_hostname=(name or host) if context is not None else None, limit=limit
            )
        except ssl.SSLError:
            raise
        except OSError as error:
            last = error
    raise last
