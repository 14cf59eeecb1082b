"""Probes every target that is in use, from its balancer's own address, and records when its health changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from tieline.fabric.core import health
from tieline.fabric.core.records import Health, LoadBalancer, Registration, TargetGroup
from tieline.fabric.core.topology import Check, Outcome
from tieline.fabric.core.world import World
from tieline.fabric.kernel.driver import Kernel

log = logging.getLogger(__name__)
Key = tuple[str, str, int]  # target group, target id, port


class Prober:
    """One task for each target in use; a task ends when its target is no longer in use."""

    def __init__(self, world: World, kernel: Kernel, clock: Callable[[], datetime]) -> None:
        self._world, self._kernel, self._clock = world, kernel, clock
        self._wake = asyncio.Event()
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        world.subscribe(self._wake.set)
        self._wake.set()

    async def run(self) -> None:
        """Follow the world until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                self._follow()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _follow(self) -> None:
        keys = {
            (group.id, target.id, target.port)
            for group in self._world.all(TargetGroup)
            for target in group.targets
            if probed(self._world, group, target)
        }
        for key in self._tasks.keys() - keys:
            self._tasks.pop(key).cancel()
        for key in [key for key in keys if key not in self._tasks or self._tasks[key].done()]:
            self._tasks[key] = asyncio.create_task(self._watch(key), name=f"probe {key}")

    async def _watch(self, key: Key) -> None:
        run = health.Run()
        while True:
            group = self._world.get(TargetGroup, key[0])
            target = next((t for t in group.targets if (t.id, t.port) == key[1:]), None) if group else None
            check = check_for(self._world, group, target) if group and target else None
            if group is None or target is None or check is None:
                return
            outcome = await self._probe(check)
            before = health.health_of(self._world, group, target, self._clock())
            after, run = health.judge(before, run, outcome, group.check, self._clock())
            if after != before or self._world.get(Health, before.id) is None:
                self._record(group, after)
            await asyncio.sleep(health.interval(after, group.check))

    async def _probe(self, check: Check) -> Outcome:
        try:
            return await self._kernel.probe(check)
        except Exception as error:  # the namespace may be on its way: an unknown outcome is a failed check
            return Outcome(passed=False, reason=health.INTERNAL, cause=str(error))

    def _record(self, group: TargetGroup, after: Health) -> None:
        """Where the store refuses, the target keeps the state that is recorded until the next probe's is written."""
        if self._world.get(TargetGroup, group.id) is None:
            return
        target = after.id.split("|")[1]
        log.info("target %s of %s is %s %s", target, group.name, after.state, after.cause)
        try:
            with self._world.transaction():
                self._world.put(after)
        except Exception as error:
            log.warning("the health of %s stays as it is recorded until its next probe: %s", target, error)


def probed(world: World, group: TargetGroup, target: Registration) -> bool:
    """Whether a target is in use, so that its health matters."""
    return target.draining is None and health.in_use(world, group, target) is None


def check_for(world: World, group: TargetGroup, target: Registration) -> Check | None:
    """The check of a target: from the balancer's node in the target's zone, or from its first node."""
    used = health.balancer_of(world, group)
    if used is None or not probed(world, group, target):
        return None
    balancer, listeners = used
    source = node_address(balancer, target.zone)
    check = group.check
    return Check(
        vpc=balancer.vpc,
        source=source,
        address=target.address,
        port=target.port if check.port == "traffic-port" else int(check.port),
        protocol=check.protocol,  # type: ignore[arg-type]
        timeout=float(check.timeout),
        path=check.path,
        matcher=check.matcher,
        proxy_protocol=health.announces_clients(group),
        host=f"{source}:{listeners[0].port}",  # the node's address and the listener's port (aws.md, section 3)
    )


def node_address(balancer: LoadBalancer, zone: str) -> str:
    """The address of a balancer's node in a zone, or of its first node where it has none there."""
    return next((p.address for p in balancer.placements if p.zone == zone), balancer.placements[0].address)
