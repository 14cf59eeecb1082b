"""Reads what links count, and keeps it by the minute for the metrics that accounts ask for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from tieline.fabric.core import figures
from tieline.fabric.core.figures import Book
from tieline.fabric.core.topology import Topology
from tieline.fabric.kernel.driver import Kernel
from tieline.fabric.kernel.nft.meters import Reading

log = logging.getLogger(__name__)

SECONDS = 10.0  # between two readings
WIDTH = 2  # namespaces at a time: counting never crowds out what builds and cuts


class Meter:
    """One loop over the VPCs that links end in."""

    def __init__(self, book: Book, kernel: Kernel, topology: Callable[[], Topology], clock: Callable[[], datetime]):
        self._book, self._kernel, self._topology, self._clock = book, kernel, topology, clock
        self._readings: dict[str, Reading] = {}
        self._noted: dict[str, object] = {}  # by wire: itself and the readings that were noted
        self._old: frozenset[str] = frozenset()  # what an earlier process has laid, which may have counted for long
        self._width = asyncio.Semaphore(WIDTH)

    async def run(self) -> None:
        """Read until cancelled."""
        self._old = self._kernel.laid()
        while True:
            await self._round(self._topology())
            await asyncio.sleep(SECONDS)

    async def _round(self, topology: Topology) -> None:
        ends = {end for wire in topology.wires.values() for end in (wire.consumer, wire.provider)}
        consumers = {wire.consumer for wire in topology.wires.values()}
        await asyncio.gather(*(self._read(end, end in consumers) for end in sorted(ends & topology.vpcs.keys())))
        self._readings = {id: reading for id, reading in self._readings.items() if id in ends}
        now, noted = self._clock(), dict[str, object]()
        for wire in topology.wires.values():
            near, far = self._readings.get(wire.consumer), self._readings.get(wire.provider)
            if near is None or far is None:
                continue
            noted[wire.id] = wire, near.sets, far.sets
            if not near.open and self._is_same(wire.id, noted[wire.id]):
                continue  # nothing moved, as on most links most of the time
            for port, totals, active in figures.of_wire(wire, near.sets, far.sets, near.open):
                self._book.note(now, (wire.id, port), totals, active, known=wire.id in self._old)
            self._book.note(now, (wire.id, ""), figures.closed(wire, near.sets), known=wire.id in self._old)
        for id, reading in self._readings.items():
            self._book.note(now, (id, ""), figures.of_vpc(reading.full), known=id in self._old)
        self._noted = noted
        self._book.forget([*topology.wires, *ends])

    def _is_same(self, wire: str, seen: object) -> bool:
        """Whether this is what was noted last: the same readings, not equal ones, so that a look costs nothing."""
        match self._noted.get(wire), seen:
            case (before, *old), (now, *new):
                return before == now and all(one is other for one, other in zip(old, new, strict=True))
        return False

    async def _read(self, vpc: str, consumes: bool) -> None:
        async with self._width:
            try:
                self._readings[vpc] = await self._kernel.meters(vpc, self._readings.get(vpc), consumes=consumes)
            except Exception as error:  # it may be on its way, or damaged: the next reading has what this one lacks
                log.info("what %s counts cannot be read: %s", vpc, error)
                self._readings.pop(vpc, None)
