"""From the broker to the databases: every message that a rule matches is committed before it is acknowledged.

pipeline = Pipeline(Broker(host="127.0.0.1", port=1883, client_id="integration"), config, directory)
running = asyncio.create_task(pipeline.run())
pipeline.status(), pipeline.metrics()
await pipeline.apply(other_config)
await pipeline.close()
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tieline.integration.config import Broker, Config, Resource, Rule
from tieline.integration.deadletters import DeadLetters
from tieline.integration.definition import Definition, define
from tieline.integration.health import Health
from tieline.integration.lane import Lane, Plan
from tieline.integration.memory import Memory
from tieline.integration.metrics import RuleMetrics
from tieline.integration.rules.errors import RuleError, TemplateError
from tieline.integration.session import CONNECT_SECONDS, Refused, Session
from tieline.integration.sinks import open_sink
from tieline.integration.sinks.base import Sink

PYTHON_THRESHOLD: Final = 700  # allocations between collections of young objects, by default
YOUNG_OBJECTS: Final = 50_000
SWEEP_SECONDS: float = 60.0  # between looks for sessions that nobody uses
GRACE: Final = 2.0  # seconds in which rows that wait are still written on closing


class _Station:
    """A resource with its connections, its health, and its share of the messages."""

    def __init__(self, resource: Resource, lane: Lane, clock: Callable[[], float]) -> None:
        self.resource = resource
        self.lane = lane
        self.sink: Sink = open_sink(resource)
        self.health = Health(lane, lambda: self.sink, clock)

    async def change(self, resource: Resource) -> None:
        """Use other connections from the next write on."""
        old, self.resource, self.sink = self.sink, resource, open_sink(resource)
        await old.close()

    async def close(self, grace: float, forget: bool) -> None:
        """Write what waits if it can be done within the grace; the broker forgets a resource that is gone."""
        self.health.stop()
        await self.lane.close(grace, forget)
        await self.sink.close()


class Pipeline:
    """Runs a configuration against one broker. Used from one event loop; `directory` keeps the dead letters."""

    def __init__(
        self,
        broker: Broker,
        config: Config,
        directory: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.config = config
        self.dead_letters = DeadLetters(directory)
        self._broker = broker
        self._clock = clock
        self._memory = Memory(directory)
        self._stations: dict[str, _Station] = {}
        self._faults: dict[str, RuleError | TemplateError] = {}
        self._rules: dict[str, RuleMetrics] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._sweeping: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()
        self._running = False

    async def run(self) -> None:
        """Receive and write until `close`. Collects garbage less often than Python's default, for the whole process:
        a burst keeps many objects and makes no cycles, and looking for them took a sixth of the time.
        """
        if gc.get_threshold()[0] == PYTHON_THRESHOLD:
            gc.set_threshold(YOUNG_OBJECTS)
        self._running = True
        await self.apply(self.config)
        self._sweeping = asyncio.create_task(self._sweep())
        await self._closed.wait()

    async def apply(self, config: Config) -> None:
        """Make this the configuration. Rows that wait are written by their action as it is then; a rule that cannot
        run is left out, and `status` says why. Returns at once; the broker and the databases follow.
        """
        self.config = config
        if not self._running:
            return
        resources = {resource.id: resource for resource in config.resources}
        for gone in self._stations.keys() - resources.keys():
            self._leaving[gone] = asyncio.create_task(self._stations.pop(gone).close(GRACE, forget=True))
        for resource in config.resources:
            await self._arrive(resource)
        definitions = self._define(config.rules, resources)
        self._rules = {rule.id: self._rules.get(rule.id, RuleMetrics()) for rule in config.rules}
        for id, station in self._stations.items():
            station.lane.apply(_plans(id, station.sink, definitions), self._rules)

    async def _arrive(self, resource: Resource) -> None:
        station = self._stations.get(resource.id)
        if station is None:
            if leaving := self._leaving.pop(resource.id, None):
                await leaving
            lane = Lane(self._broker, resource.id, self.dead_letters, self._memory, self._clock)
            self._stations[resource.id] = _Station(resource, lane, self._clock)
            self._stations[resource.id].health.start()
        elif station.resource != resource:
            await station.change(resource)

    async def _sweep(self) -> None:
        """End sessions of resources that are long gone, which the broker would queue messages for, for ever.

        Version 0 is a pipeline that was told nothing yet: it ends nothing.
        """
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            ours = {station.lane.session.client_id for station in self._stations.values()}
            strangers = [client for client in self._memory.clients() if client not in ours]
            for client_id in strangers if self.config.version else ():
                with contextlib.suppress(OSError, TimeoutError, Refused, IndexError):
                    session = Session(self._broker, client_id, lambda _: None, tuple, self._memory)
                    await asyncio.wait_for(session.end(), CONNECT_SECONDS)

    def _define(self, rules: tuple[Rule, ...], resources: dict[str, Resource]) -> list[Definition]:
        self._faults = {}
        definitions = []
        for rule in rules:
            try:
                definition = define(rule, resources)
            except (RuleError, TemplateError) as fault:
                self._faults[rule.id] = fault
            else:
                if rule.enable:
                    definitions.append(definition)
        return definitions

    async def ready(self) -> None:
        """Return when the broker has confirmed every subscription."""
        await asyncio.gather(*(station.lane.ready() for station in self._stations.values()))

    async def drained(self) -> None:
        """Return when no row waits."""
        for station in self._stations.values():
            await station.lane.drained()

    async def close(self, grace: float = GRACE) -> None:
        """Stop: what waits is written for at most `grace` seconds, the rest stays with the broker."""
        self._running = False
        if self._sweeping is not None:
            self._sweeping.cancel()
        stations, self._stations = self._stations, {}
        leaving = list(self._leaving.values())
        await asyncio.gather(*(station.close(grace, forget=False) for station in stations.values()), *leaving)
        self._closed.set()

    def metrics(self) -> dict[str, Any]:
        """Counters since the start: `rules` by rule id, `actions` by rule id and action id, and dead letters."""
        actions: dict[str, dict[str, Any]] = {}
        for station in self._stations.values():
            for (rule, action), batcher in station.lane.actions().items():
                actions.setdefault(rule, {})[action] = batcher.snapshot()
        rules = {id: metrics.snapshot() for id, metrics in self._rules.items()}
        letters = {"count": len(self.dead_letters), "dropped": self.dead_letters.dropped}
        return {"version": self.config.version, "rules": rules, "actions": actions, "dead_letters": letters}

    def status(self) -> dict[str, Any]:
        """How each resource and each rule is: `status`, and where it is not well `reason`, `hop` and `hint`."""
        resources = {id: station.health.status() for id, station in self._stations.items()}
        rules = {rule.id: self._rule_status(rule, resources) for rule in self.config.rules}
        return {"version": self.config.version, "resources": resources, "rules": rules}

    def _rule_status(self, rule: Rule, resources: dict[str, dict[str, Any]]) -> dict[str, Any]:
        if fault := self._faults.get(rule.id):
            return {"status": "failed", "reason": str(fault)}
        if not rule.enable:
            return {"status": "stopped"}
        for action in rule.actions:
            state = resources.get(action.resource, {})
            if state.get("status") == "disconnected":
                return {"status": "waiting", "reason": f"resource {action.resource}: {state['reason']}"}
        return {"status": "running"}


def _plans(id: str, sink: Sink, definitions: list[Definition]) -> list[Plan]:
    """The rules with the actions that go to this resource; the one with a rule's first action counts its matches."""
    plans = []
    for definition in definitions:
        actions = definition.rule.actions
        ours = tuple((action, sink.writer(action)) for action in actions if action.resource == id)
        if ours:
            plans.append(Plan(definition.rule, definition.compiled, ours, counts=actions[0].resource == id))
    return plans
