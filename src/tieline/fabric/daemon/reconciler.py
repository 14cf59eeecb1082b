"""Keeps the kernel as planned: level-triggered, one reconcile per VPC, wire, instance and passage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from datetime import datetime

from tieline.fabric import plan
from tieline.fabric.daemon import lifecycle
from tieline.fabric.daemon.keyed import Keyed
from tieline.fabric.daemon.lifecycle import Key
from tieline.fabric.kernel.cut import Side
from tieline.fabric.kernel.driver import Kernel
from tieline.fabric.topology import Instance, Passage, Topology, Vpc, Wire
from tieline.fabric.world import World

log = logging.getLogger(__name__)

RESYNC = 5.0  # seconds between looks at everything, by which damage from outside is found
WIDTH = 8  # kernel operations at a time


class Reconciler:
    """Compares what is wanted with what was last applied, and has the kernel driver change the difference."""

    def __init__(self, world: World, kernel: Kernel, region: str, clock: Callable[[], datetime]) -> None:
        self._world, self._kernel, self._region, self._clock = world, kernel, region, clock
        self._wake = asyncio.Event()
        self._topology = Topology()
        self._desired: dict[Key, object] = {}
        self._applied: dict[Key, object] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._keyed: Keyed[Key] = Keyed(self._reconcile, WIDTH)
        world.subscribe(self._wake.set)

    async def run(self) -> None:
        """Adopt what is there, then follow every change of the world until cancelled."""
        observed = await self._kernel.observe()
        self._applied = {("wire", id): wire for id, wire in observed.wires.items()}
        self._applied |= {("passage", id): passage for id, passage in observed.passages.items()}
        for kind, ids in (("vpc", observed.vpcs), ("instance", observed.instances)):
            self._applied |= {(kind, id): None for id in ids}  # it is there; whether it is right is not known yet
        self._look(everything=True)
        try:
            while True:
                everything = not await self._woken()
                self._look(everything)
        finally:
            await self._keyed.close()

    async def _woken(self) -> bool:
        """True when the world changed, False when it is time to look at everything."""
        try:
            await asyncio.wait_for(self._wake.wait(), RESYNC)
        except TimeoutError:
            return False
        finally:
            self._wake.clear()
        return True

    def _look(self, everything: bool) -> None:
        with self._world.transaction():
            lifecycle.expire(self._world, self._clock())
        self._topology = plan.plan(self._world, self._region)
        self._desired = dict(lifecycle.wanted(self._topology))
        for key in self._desired.keys() | self._applied.keys():
            if everything or self._desired.get(key) != self._applied.get(key):
                self._keyed.poke(key)
        self._advance()

    def _advance(self) -> None:
        with self._world.transaction():
            lifecycle.advance(self._world, self._built, self._gone, self._clock())

    def _built(self, key: Key) -> bool:
        return key in self._desired and self._desired[key] == self._applied.get(key)

    def _gone(self, key: Key) -> bool:
        return key not in self._desired and key not in self._applied

    async def _reconcile(self, key: Key) -> None:
        """Bring one key to what is wanted now, and remember that."""
        wanted = self._desired.get(key)
        if wanted is not None and not all(self._built(base) for base in _bases(wanted)):
            return  # it is poked when its base is built
        if wanted is not None:
            await self._converge(key[0], wanted)
            self._applied[key] = wanted
        else:
            await self._remove(*key)
            self._applied.pop(key, None)
        for other, value in self._desired.items():
            if self._applied.get(other) != value and key in _bases(value):
                self._keyed.poke(other)
        self._advance()

    async def _converge(self, kind: str, wanted: object) -> None:
        match kind, wanted:
            case "vpc", (Vpc() as vpc, *wires):
                async with self._alone(vpc.id):
                    await self._kernel.converge_vpc(vpc, *_split(vpc.id, wires))
            case "wire", Wire() as wire:
                await self._kernel.converge_wire(wire)
            case "instance", Instance() as instance:
                await self._kernel.converge_instance(instance, self._topology.vpcs[instance.vpc])
            case "passage", Passage() as passage:
                await self._kernel.converge_passage(passage)
            case _:
                raise AssertionError(f"unexpected {kind}")

    async def _remove(self, kind: str, id: str) -> None:
        match kind:
            case "vpc":
                async with self._alone(id):
                    await self._kernel.remove_vpc(id)
            case "wire":
                await self._cut(id)
            case "instance":
                await self._kernel.stop_instance(id)
            case "passage":
                await self._kernel.close_passage(id)
            case _:
                raise AssertionError(f"unexpected {kind}")

    async def _cut(self, id: str) -> None:
        """Cut a wire, and have the VPCs at its ends as they are wanted without it."""
        wire = self._applied.get(("wire", id))
        if not isinstance(wire, Wire):
            return
        async with AsyncExitStack() as alone:
            for end in sorted({wire.consumer, wire.provider}):
                await alone.enter_async_context(self._alone(end))
            sides = []
            for end in sorted({wire.consumer, wire.provider}):
                match self._desired.get(("vpc", end)):
                    case (Vpc() as vpc, *wires):
                        sides.append(Side(vpc, *_split(end, wires)))
            await self._kernel.cut_wire(wire, sides)

    def _alone(self, vpc: str) -> asyncio.Lock:
        """What keeps two kernel operations from working on one VPC at a time; it guards no record."""
        return self._locks.setdefault(vpc, asyncio.Lock())

    def trouble(self) -> dict[str, str]:
        """What could not be built or removed at the last try, by kind and id."""
        return {f"{kind} {id}": error for (kind, id), error in self._keyed.errors.items()}


def _bases(wanted: object) -> tuple[Key, ...]:
    """What has to be built first: an instance boots into a network that is there, a passage leads into an instance."""
    match wanted:
        case Instance():
            return (("vpc", wanted.vpc),)
        case Passage():
            return (("instance", wanted.instance),)
        case _:
            return ()


def _split(vpc: str, wires: Iterable[object]) -> tuple[list[Wire], list[Wire]]:
    """A VPC's wires, first as their consumer, then as their provider."""
    known = [wire for wire in wires if isinstance(wire, Wire)]
    return [w for w in known if w.consumer == vpc], [w for w in known if w.provider == vpc]
