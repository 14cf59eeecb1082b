"""Links, addresses and routes that should be in a namespace, and the `ip` lines that lead there.

Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from tieline.fabric.core.topology import Host, Vpc, Wire
from tieline.fabric.kernel.system import names


@dataclass(frozen=True, slots=True)
class Link:
    """An interface: `addresses` as `10.0.0.1/32`; without `arp` it sends to its own hardware address."""

    up: bool = False
    addresses: frozenset[str] = frozenset()
    arp: bool = True


@dataclass(frozen=True, slots=True)
class Space:
    """What a network namespace holds. `routes` leaves out those that the kernel derives from addresses."""

    links: Mapping[str, Link]
    routes: frozenset[str] = frozenset()


class _Address(msgspec.Struct):
    family: str = ""
    local: str = ""
    prefixlen: int = 32


class _Interface(msgspec.Struct):
    ifname: str = ""
    flags: list[str] = []
    addr_info: list[_Address] = []


class _Route(msgspec.Struct):
    dst: str
    dev: str = ""
    gateway: str = ""
    protocol: str = ""


def parse(answer: str, device: str = "") -> Space:
    """The space that `ip -j -batch` describes in answer to `address` and `route`, one line of JSON for each.

    `device` is the one that was asked for, if one was: its routes come without it.
    """
    addresses, routes = answer.splitlines()
    interfaces = msgspec.json.decode(addresses, type=list[_Interface])
    links = {
        one.ifname: Link("UP" in one.flags, _ipv4(one.addr_info), "NOARP" not in one.flags)
        for one in interfaces
        if one.ifname
    }
    found = msgspec.json.decode(routes, type=list[_Route])
    return Space(links, frozenset(_route(one, device) for one in found if one.protocol != "kernel"))


def of_vpc(vpc: Vpc, outgoing: Sequence[Wire]) -> Space:
    """A VPC's own links: every address of its own is on `lo`, every host behind its routed link."""
    addresses = {
        vpc.resolver,
        *vpc.addresses,
        *(host.router for host in vpc.hosts),
        *(node.address for node in vpc.nodes),
    }
    addresses |= {crossing.endpoint for wire in outgoing for crossing in wire.crossings}
    links = {"lo": Link(True, frozenset({"127.0.0.1/8", *(f"{address}/32" for address in addresses)}))}
    links |= {names.host_link(host.id): Link(True) for host in vpc.hosts}
    return Space(links, frozenset(f"{host.address} dev {names.host_link(host.id)}" for host in vpc.hosts))


def of_host(host: Host) -> Space:
    """A host as it sees itself: one interface, and its subnet's router towards the rest."""
    name = names.inner_link(host.id)
    links = {name: Link(True, frozenset({f"{host.address}/{host.prefix_length}"}))}
    if host.kind == "machine":
        links["lo"] = Link(True, frozenset({"127.0.0.1/8"}))
    return Space(links, frozenset(f"{network} via {host.router} dev {name}" for network in host.networks))


def steps(desired: Space, observed: Space) -> list[str]:
    """The `ip` lines from one to the other, for the desired links only; a link that is absent counts as just made."""
    lines: list[str] = []
    for name, link in desired.links.items():
        lines += _link_steps(name, link, observed.links.get(name, Link()))
    kept = {route for route in observed.routes if _device(route) in observed.links}
    stale = sorted(route for route in kept - desired.routes if _device(route) in desired.links)
    lines += [f"route del {route}" for route in stale]
    # a link that was down has lost its routes: replacing is right whether they are seen or not
    raised = {name for name in desired.links if not observed.links.get(name, Link()).up}
    missing = {route for route in desired.routes if route not in kept or _device(route) in raised}
    return lines + [f"route replace {route}" for route in sorted(missing)]


def without(space: Space, links: Collection[str]) -> Space:
    """The space as if these links were not there."""
    routes = frozenset(route for route in space.routes if _device(route) not in links)
    return Space({name: link for name, link in space.links.items() if name not in links}, routes)


def stale_links(desired: Iterable[str], observed: Iterable[str], kind: str) -> list[str]:
    """The links of one kind that nothing asks for."""
    return sorted(name for name in set(observed) - set(desired) if name.startswith(kind))


def _link_steps(name: str, desired: Link, observed: Link) -> list[str]:
    lines = [f"link set {name} arp {'on' if desired.arp else 'off'}"] if desired.arp != observed.arp else []
    raised = desired.up and not observed.up
    # up first: an address on `lo` before it is up would be without its local route
    lines += [f"link set {name} up"] if raised else []
    present = observed.addresses | ({"127.0.0.1/8"} if raised and name == "lo" else set())  # the kernel adds it on up
    lines += [f"address add {address} dev {name}" for address in sorted(desired.addresses - present)]
    return lines + [f"address del {address} dev {name}" for address in sorted(observed.addresses - desired.addresses)]


def _ipv4(found: list[_Address]) -> frozenset[str]:
    return frozenset(f"{one.local}/{one.prefixlen}" for one in found if one.family == "inet")


def _route(route: _Route, device: str) -> str:
    via = f" via {route.gateway}" if route.gateway else ""
    return f"{route.dst}{via} dev {route.dev or device}"


def _device(route: str) -> str:
    return route.rsplit(" ", 1)[1]
