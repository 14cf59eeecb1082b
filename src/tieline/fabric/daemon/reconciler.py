"""Keeps the kernel as planned: level-triggered, one reconcile per VPC, wire, instance and passage."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack, suppress
from datetime import datetime

from tieline.fabric.core.planning import plan
from tieline.fabric.core.topology import Instance, Passage, Topology, Vpc, Wire
from tieline.fabric.core.world import World
from tieline.fabric.daemon import lifecycle
from tieline.fabric.daemon.keyed import Keyed
from tieline.fabric.daemon.lifecycle import Key
from tieline.fabric.kernel.cut import Side
from tieline.fabric.kernel.driver import Kernel, Observed
from tieline.fabric.kernel.net.watch import Change, Watch
from tieline.fabric.kernel.system.names import wire_link
from tieline.fabric.kernel.vpcs import Unsettled

log = logging.getLogger(__name__)

TICK = 5.0  # seconds between looks at what passes with time
SWEEP = 600.0  # seconds between looks at everything: damage is told by the watch, this is for what it cannot see
GATHER = 0.5  # seconds in which what is told of one key becomes one converge
STORE_PAUSE = 1.0  # seconds before records are written again that the store refused
WIDTH = 8  # kernel operations at a time


class Reconciler:
    """Compares what is wanted with what was last applied, and has the kernel driver change the difference."""

    def __init__(self, world: World, kernel: Kernel, region: str, clock: Callable[[], datetime]) -> None:
        self._world, self._kernel, self._region, self._clock = world, kernel, region, clock
        self._wake = asyncio.Event()
        self._topology, self._planned = Topology(), -1  # of which revision of the world
        self._desired: dict[Key, object] = {}
        self._dependents: dict[Key, list[Key]] = {}
        self._applied: dict[Key, object] = {}
        self._leaving: set[Key] = set()  # applied, but for what a removal that is under way, or failed, took of it
        self._unsettled: dict[str, Unsettled] = {}  # by VPC: the hosts that its last converge could not link
        self._locks: dict[str, asyncio.Lock] = {}
        self._told: set[Key] = set()  # keys to which something happened in the kernel
        self._wires: dict[str, Key] = {}  # by the name of their links
        self._keyed: Keyed[Key] = Keyed(self._reconcile, WIDTH)
        self._watch: Watch | None = None
        self._store_trouble = ""
        world.subscribe(self._wake.set)

    async def run(self) -> None:
        """Adopt what is there, then follow every change of the world and of the kernel until cancelled."""
        self._watch = self._kernel.watch(self._tell)
        try:
            observed = await self._kernel.observe()
            self._adopt(observed)
            await self._follow(self._damaged(observed))
        finally:
            self._watch.close()
            await self._keyed.close()

    def _adopt(self, observed: Observed) -> None:
        self._applied = {("wire", id): wire for id, wire in observed.wires.items()}
        self._applied |= {("passage", id): passage for id, passage in observed.passages.items()}
        for kind, ids in (("vpc", observed.vpcs), ("instance", observed.instances)):
            self._applied |= {(kind, id): None for id in ids}  # it is there; whether it is right is not known yet

    def _damaged(self, observed: Observed) -> set[Key]:
        """What a look at everything has to converge: all but the wires, of which it has seen that they are sound."""
        others = {key for key in self._desired.keys() | self._applied.keys() if key[0] != "wire"}
        return others | {("wire", id) for id in observed.damaged}

    async def _follow(self, damaged: set[Key]) -> None:
        loop = asyncio.get_running_loop()
        swept, spent = loop.time(), 0.0
        while True:
            began = loop.time()
            self._look(damaged)
            damaged = set()
            spent = loop.time() - began
            if began - swept > SWEEP:
                damaged, swept = self._damaged(await self._kernel.observe()), began
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(STORE_PAUSE if self._store_trouble else TICK):
                    await self._wake.wait()
            await asyncio.sleep(spent)  # a burst of changes costs half of the time at most
            self._wake.clear()

    def _look(self, damaged: Iterable[Key]) -> None:
        """Let time pass, plan what changed, poke what differs, and move on the records of what is built."""
        self._write(lambda: lifecycle.expire(self._world, self._clock()))
        if self._planned != self._world.revision:
            self._plan()
        for key in damaged:
            self._keyed.poke(key)
        self._write(lambda: lifecycle.advance(self._world, self, self._clock()))

    def _plan(self) -> None:
        self._topology = plan.plan(self._world, self._region)
        self._planned = self._world.revision
        self._desired = dict(lifecycle.wanted(self._topology))
        self._wires = {wire_link(id): ("wire", id) for id in self._topology.wires}
        self._dependents = {}
        for key, wanted in self._desired.items():
            for base in _bases(wanted):
                self._dependents.setdefault(base, []).append(key)
        for key in self._desired.keys() | self._applied.keys():
            if self._desired.get(key) != self._applied.get(key) or (key in self._desired and key in self._leaving):
                self._keyed.poke(key)

    def _write(self, change: Callable[[], None]) -> None:
        """Change records by themselves; a store that refuses is asked again, and what lives in the kernel goes on."""
        try:
            with self._world.transaction():
                change()
            self._store_trouble = ""
        except Exception as error:
            log.warning("the records stay as they are, next try in %.0f s: %s", STORE_PAUSE, error)
            self._store_trouble = str(error)

    def _tell(self, change: Change) -> None:
        """Have what something happened to converged soon. A host's network is its VPC's business."""
        instance = self._topology.instances.get(change.id)
        keys = {self._wires[change.link]} if change.link in self._wires else {(change.kind, change.id)}
        if instance and not change.link:
            keys.add(("vpc", instance.vpc))
        elif instance:
            keys = {("vpc", instance.vpc)}
        if not self._told:
            asyncio.get_running_loop().call_later(GATHER, self._poke_told)
        self._told |= keys & self._applied.keys()

    def _poke_told(self) -> None:
        for key in self._told:
            self._keyed.poke(key)
        self._told.clear()

    def built(self, key: Key) -> bool:
        """Whether it is there as it is wanted."""
        return key in self._desired and key not in self._leaving and self._desired[key] == self._applied.get(key)

    def gone(self, key: Key) -> bool:
        """Whether it is neither there nor wanted."""
        return key not in self._desired and key not in self._applied

    async def _reconcile(self, key: Key) -> None:
        """Bring one key to what is wanted now, and remember that.

        A VPC whose hosts are not all linked is built nevertheless, and tried on for their sake.
        """
        assert self._watch is not None, "nothing is reconciled before the run begins"
        wanted = self._desired.get(key)
        if wanted is not None and not all(self._carries(base, key[1]) for base in _bases(wanted)):
            return  # it is poked when its base is built
        if wanted is not None:
            await self._watch.listen(*key)
            await self._converge(key[0], wanted)
            self._applied[key] = wanted
            self._leaving.discard(key)
            await self._watch.attend(*key)
        else:
            self._leaving.add(key)
            self._watch.forget(*key)
            await self._remove(*key)
            self._applied.pop(key, None)
            self._leaving.discard(key)
        for other in self._dependents.get(key, ()):
            if not self.built(other):
                self._keyed.poke(other)
        self._wake.set()  # records may move on
        if key[1] in self._unsettled:
            raise self._unsettled[key[1]]

    def _carries(self, base: Key, id: str) -> bool:
        """Whether what stands on this base can be built."""
        return self.built(base) and (base[1] not in self._unsettled or id not in self._unsettled[base[1]].hosts)

    async def _converge(self, kind: str, wanted: object) -> None:
        match kind, wanted:
            case "vpc", (Vpc() as vpc, *wires):
                try:
                    async with self._alone(vpc.id):
                        await self._kernel.converge_vpc(vpc, *_split(vpc.id, wires))
                    self._unsettled.pop(vpc.id, None)
                except Unsettled as error:
                    self._unsettled[vpc.id] = error
                finally:
                    self._end_outlived(vpc)
            case "wire", Wire() as wire:
                await self._kernel.converge_wire(wire)
            case "instance", Instance() as instance:
                await self._kernel.converge_instance(instance, self._topology.vpcs[instance.vpc])
            case "passage", Passage() as passage:
                await self._kernel.converge_passage(passage)
            case _:
                raise AssertionError(f"unexpected {kind}")

    def _end_outlived(self, vpc: Vpc) -> None:
        """Remove again the instances that were removed meanwhile: the converge may have made their namespaces anew."""
        for host in vpc.hosts:
            key = ("instance", host.id)
            if host.kind == "machine" and key not in self._desired:
                self._applied[key] = None
                self._keyed.poke(key)

    async def _remove(self, kind: str, id: str) -> None:
        match kind:
            case "vpc":
                async with self._alone(id):
                    await self._kernel.remove_vpc(id)
                self._unsettled.pop(id, None)
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
            try:
                await self._kernel.cut_wire(wire, sides)
            except Unsettled as error:  # the wire is cut, and its ends are what they should be but for single hosts
                log.info("%s is cut; %s", id, error)
            finally:
                for side in sides:
                    self._end_outlived(side.vpc)

    def _alone(self, vpc: str) -> asyncio.Lock:
        """What keeps two kernel operations from working on one VPC at a time; it guards no record."""
        return self._locks.setdefault(vpc, asyncio.Lock())

    def topology(self) -> Topology:
        """What is wanted now."""
        return self._topology

    def trouble(self, key: Key) -> str:
        """Why it could not be built at the last try; "" where it could, or was not tried."""
        return self._keyed.errors.get(key, "")


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
