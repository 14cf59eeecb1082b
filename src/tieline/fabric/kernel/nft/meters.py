"""Reading what a VPC has counted: one command for its table, and nothing but a look where no packet moved."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec

from tieline.fabric.core.topology import Counts, Value
from tieline.fabric.kernel.net import namespaces
from tieline.fabric.kernel.nft import flows, metering
from tieline.fabric.kernel.system import commands
from tieline.fabric.kernel.system.names import HOST_LINK, WIRE_LINK, Footprint

DEVICES = Path("/proc/thread-self/net/dev")
FLOWS = Path("/proc/sys/net/netfilter/nf_conntrack_count")
FAILURES = Path("/proc/thread-self/net/stat/nf_conntrack")  # a line of hexadecimal numbers for each processor
DROPPED = "drop"  # flows that found the table of flows full (net/netfilter/nf_conntrack_core.c)
Ports = Mapping[str, Counts]  # by `address . protocol . port`, or by address alone


class Reading(Value, frozen=True, kw_only=True):
    """A VPC's totals since its table was made; `mark` tells one reading from the next where any packet moved."""

    mark: str
    sets: Mapping[str, Ports] = {}
    open: Mapping[str, int] = {}  # flows by `address . protocol . port` that they were aimed at
    full: int = 0  # flows that were dropped because the table of flows was full


class _Counter(msgspec.Struct):
    packets: int
    bytes: int


class _Concatenation(msgspec.Struct):
    concat: list[str | int]


class _Element(msgspec.Struct):
    val: str | _Concatenation
    counter: _Counter


class _Wrapped(msgspec.Struct):
    elem: _Element


class _Set(msgspec.Struct):
    name: str
    elem: msgspec.Raw = msgspec.Raw(b"[]")  # those of other sets have other forms


class _Object(msgspec.Struct):
    set: _Set | None = None


class _Listing(msgspec.Struct):
    nftables: list[_Object]


async def read(footprint: Footprint, vpc: str, before: Reading | None, *, consumes: bool) -> Reading:
    """The VPC's totals; `before` is the last reading, whose sets still hold where nothing moved since.

    Where no link is consumed only the wires matter, for a balancer's own probes move all the time.
    """
    namespace = footprint.namespace(vpc)
    devices, tracked, full = await namespaces.inside(namespace, partial(_look, consumes))
    rests = before is not None and before.mark == devices
    known = before.open if before is not None and rests else None
    aimed_at = await flows.aimed_at(namespace) if consumes and tracked and known != {} else Counter()
    if before is not None and rests:
        return Reading(mark=devices, sets=before.sets, open=_through(aimed_at, before.sets), full=full)
    listing = await commands.read(*commands.entering(namespace, "nft", "-j", "list", "sets", "ip"))
    sets = await asyncio.to_thread(parse, listing)
    return Reading(mark=devices, sets=sets, open=_through(aimed_at, sets), full=full)


def parse(listing: str) -> dict[str, Ports]:
    """The counters in nft's JSON, by set. Pure."""
    found = msgspec.json.decode(listing, type=_Listing).nftables
    return {
        one.set.name: {
            _key(each.elem.val): Counts(packets=each.elem.counter.packets, bytes=each.elem.counter.bytes)
            for each in msgspec.json.decode(one.set.elem, type=list[_Wrapped])
        }
        for one in found
        if one.set is not None and one.set.name in metering.TYPES
    }


def _through(open: Mapping[str, int], sets: Mapping[str, Ports]) -> dict[str, int]:
    """The flows that are aimed at links, and not at the resolver or a host."""
    return {place: count for place, count in open.items() if place in sets.get(metering.OPENED, {})}


def _key(value: str | _Concatenation) -> str:
    return value if isinstance(value, str) else " . ".join(map(str, value.concat))


def _look(consumes: bool) -> tuple[str, int, int]:
    """By a thread inside: what the interfaces have counted, how many flows there are, how many found no room."""
    lines = FAILURES.read_text().splitlines()
    column = lines[0].split().index(DROPPED)
    full = sum(int(line.split()[column], 16) for line in lines[1:])
    kinds = (HOST_LINK, WIRE_LINK) if consumes else (WIRE_LINK,)
    moved = [line for line in DEVICES.read_text().splitlines() if line.lstrip().startswith(kinds)]
    return "\n".join(moved), int(FLOWS.read_text()), full
