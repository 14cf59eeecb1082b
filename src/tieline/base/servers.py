"""The texts that name a server: `host:port`, `link:<name>:port`, a URL, several of them, and maps of addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tieline.base.hostport import port_number

LINK_SCHEME = "link"
ADDRESS_MAP: Final = "address_map"  # of resources whose servers announce other addresses, such as Kafka's brokers
PORTS: Final = {"http": 80, "https": 443}  # of URLs that name none (RFC 9110, 4.2)


def split_server(server: str) -> tuple[str, str, int]:
    """`host:port` as ("", host, port), `link:<name>:port` as (name, "", port); raises ValueError with what is wrong."""
    head, colon, tail = server.rpartition(":")
    if not colon or not head:
        raise ValueError("expected host:port or link:<name>:port")
    port = port_number(tail)
    scheme, colon, name = head.partition(":")
    if colon and scheme == LINK_SCHEME:
        return name, "", port
    if "/" in head or (colon and not head.startswith("[")):
        raise ValueError("expected host:port without a scheme or a path")
    return "", head.strip("[]"), port


def rewritten(address: str, place: Callable[[str, str, int], str]) -> str:
    """An address with each server in it replaced: one server, several with commas between them, or a URL.

    `place` is given what `split_server` makes of each. Raises ValueError with what is wrong.
    """
    scheme, separator, rest = address.strip().partition("://")
    if not separator:
        return ",".join(place(*split_server(server.strip())) for server in address.split(","))
    authority, slash, path = rest.partition("/")
    if scheme not in PORTS or not authority or not set(authority).isdisjoint("@?#\\ "):
        raise ValueError("expected http:// or https://, a host, a port and a path")
    if not authority.rpartition(":")[2].isdecimal():
        authority = f"{authority}:{PORTS[scheme]}"
    return f"{scheme}://{place(*split_server(authority))}{slash}{path}"


def split_servers(address: str) -> list[tuple[str, str, int]]:
    """What `split_server` says of each server in an address; raises ValueError."""
    found: list[tuple[str, str, int]] = []

    def keep(name: str, host: str, port: int) -> str:
        found.append((name, host, port))
        return ""

    rewritten(address, keep)
    return found


def mapped(options: Mapping[str, Any]) -> list[str]:
    """Where members of a cluster are reached that announce other addresses: each is an address like the server's."""
    known = options.get(ADDRESS_MAP)
    return [value for value in known.values() if isinstance(value, str)] if isinstance(known, Mapping) else []


def remapped(options: Mapping[str, Any], place: Callable[[str, str, int], str]) -> dict[str, Any]:
    """The options with each address of the map rewritten; raises ValueError with what is wrong."""
    known = options.get(ADDRESS_MAP)
    if not isinstance(known, Mapping):
        return dict(options)
    moved = {name: rewritten(value, place) if isinstance(value, str) else value for name, value in known.items()}
    return {**options, ADDRESS_MAP: moved}
