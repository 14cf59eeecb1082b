"""What links have carried and refused, minute by minute: totals that were read become sums that metrics ask for.

Pure: readings and times are arguments. Kept in memory, for the last hours; the totals themselves are the kernel's, so
that a restart loses the minutes and not the count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from tieline.fabric.core.topology import Counts, Crossing, Protocol, Wire

MINUTE = timedelta(minutes=1)  # the shortest period of AWS's own metrics of links
KEPT = timedelta(hours=3)  # AWS keeps such minutes for 15 days
ACTIVE = "ActiveConnections"  # an amount at a time; all others add up
NONE = Counts()

Port = str  # "tcp:5432", or "" for what belongs to no listener
Key = tuple[str, Port]  # of an endpoint; or a VPC and ""
Sums = dict[str, float]
Sets = Mapping[str, Mapping[str, Counts]]


class Book:
    """The minutes of everything that was noted."""

    def __init__(self) -> None:
        self._before: dict[Key, Mapping[str, float]] = {}
        self._minutes: dict[Key, dict[datetime, Sums]] = {}

    def note(
        self, now: datetime, key: Key, totals: Mapping[str, float], active: int = 0, *, known: bool = False
    ) -> None:
        """Add what a total has grown by since it was noted last; one that shrank was counted anew.

        What is noted for the first time counts from nothing, or where it is `known` to be older from now on.
        """
        before = self._before.get(key, totals if known else {})
        self._before[key] = totals
        grown = {name: total - _before(before.get(name, 0), total) for name, total in totals.items()}
        news = {name: amount for name, amount in grown.items() if amount}
        minutes = self._minutes.setdefault(key, {})
        at = now.replace(second=0, microsecond=0)
        if news or active:
            sums = minutes.setdefault(at, {})
            for name, amount in news.items():
                sums[name] = sums.get(name, 0) + amount
            if active:
                sums[ACTIVE] = max(sums.get(ACTIVE, 0), active)
        for old in [minute for minute in minutes if minute < at - KEPT]:
            del minutes[old]

    def forget(self, kept: Iterable[str]) -> None:
        """Drop what belongs to none of these endpoints and VPCs."""
        for key in self._before.keys() - {key for key in self._before if key[0] in set(kept)}:
            del self._before[key], self._minutes[key]

    def ports(self, id: str) -> list[Port]:
        """The listener ports of an endpoint that were noted."""
        return sorted(port for known, port in self._before if known == id and port)

    def points(
        self, keys: Iterable[Key], names: Iterable[str], start: datetime, end: datetime, period: timedelta
    ) -> dict[datetime, list[float]]:
        """The values of the minutes in [start, end), by the beginning of their period; one without news has none."""
        wanted, found = list(names), dict[datetime, float]()
        for key in keys:
            for minute, sums in self._minutes.get(key, {}).items():
                values = [sums[name] for name in wanted if name in sums]
                if values and start <= minute < end:
                    found[minute] = found.get(minute, 0) + sum(values)
        points: dict[datetime, list[float]] = {}
        for minute, value in sorted(found.items()):
            begun = minute - timedelta(seconds=(minute.timestamp() % period.total_seconds()))
            points.setdefault(begun, []).append(value)
        return points


def _before(noted: float, total: float) -> float:
    """What counted already: nothing where it was counted anew."""
    return noted if noted <= total else 0


def of_wire(wire: Wire, consumer: Sets, provider: Sets, open: Mapping[str, int]) -> Iterator[tuple[Port, Sums, int]]:
    """For each listener port of a wire, over all its zones: its totals, and how many flows are open."""
    for protocol, port in sorted({port for crossing in wire.crossings for port in crossing.ports}):
        crossings = [one for one in wire.crossings if (protocol, port) in one.ports]
        totals: Sums = {}
        for crossing in crossings:
            for name, value in _totals(wire, crossing, protocol, port, consumer, provider).items():
                totals[name] = totals.get(name, 0) + value
        flows = sum(open.get(_place(one.endpoint, protocol, port), 0) for one in crossings)
        yield f"{protocol}:{port}", totals, flows


def closed(wire: Wire, consumer: Sets) -> Sums:
    """How many packets were aimed at ports that the service does not have."""
    found = consumer.get("closed", {})
    return {"RefusedWithoutListener": float(sum(found.get(one.endpoint, NONE).packets for one in wire.crossings))}


def of_vpc(full: int) -> Sums:
    """What concerns every link of a VPC."""
    return {"RefusedFlowTableFull": float(full)}


def _totals(
    wire: Wire, crossing: Crossing, protocol: Protocol, port: int, consumer: Sets, provider: Sets
) -> dict[str, float]:
    here, there = _place(crossing.endpoint, protocol, port), _place(crossing.far, protocol, port)
    met = here if wire.consumer == wire.provider else there

    def seen(sets: Sets, name: str, place: str) -> Counts:
        return sets.get(name, {}).get(place, NONE)

    barred = seen(consumer, "barred", here).packets
    return {
        "NewConnections": max(0, seen(consumer, "opened", here).packets - barred),
        "BytesSent": seen(consumer, "sent", there).bytes,
        "PacketsSent": seen(consumer, "sent", there).packets,
        "BytesReceived": seen(consumer, "received", there).bytes,
        "PacketsReceived": seen(consumer, "received", there).packets,
        "RstPacketsSent": seen(consumer, "sent-resets", there).packets,
        "RstPacketsReceived": seen(consumer, "received-resets", there).packets,
        "RefusedBySecurityGroup": barred + (seen(provider, "barred", there).packets if met == there else 0),
        "RefusedWithoutTarget": seen(provider, "unserved", met).packets,
    }


def _place(address: str, protocol: str, port: int) -> str:
    return f"{address} . {protocol} . {port}"
