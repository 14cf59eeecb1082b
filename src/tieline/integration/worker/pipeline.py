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
import logging
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from tieline.integration.config.definition import Definition, check_broker, define
from tieline.integration.config.shapes import Broker, Config, Resource, Rule
from tieline.integration.delivery.batcher import Batcher
from tieline.integration.delivery.buffer import Buffer
from tieline.integration.delivery.dead_letters import DeadLetters
from tieline.integration.delivery.outlets import PLACES, place_of
from tieline.integration.delivery.overlap import id_of
from tieline.integration.delivery.replay import Replayer
from tieline.integration.delivery.station import BROKER, ORDERED, Station, in_order
from tieline.integration.metrics import INTERVAL, RuleMetrics
from tieline.integration.mqtt.handshake import Refused
from tieline.integration.mqtt.session import CONNECT_SECONDS, Session
from tieline.integration.mqtt.session_store import Memory
from tieline.integration.rules.values.errors import RuleError, TemplateError
from tieline.integration.sinks.base import reach
from tieline.integration.worker.takeover import Heir, occupied
from tieline.integration.worker.totals import worst

PYTHON_THRESHOLD: Final = 700  # allocations between collections of young objects, by default
YOUNG_OBJECTS: Final = 50_000
CAUGHT_UP_SECONDS: Final = 5.0  # for the broker to send what it has, while two pipelines hear the same
SWEEP_SECONDS: float = 60.0  # between looks for sessions that nobody uses
log = logging.getLogger(__name__)
GRACE: Final = 2.0  # seconds in which rows that wait are still written on closing


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
        self._lock = occupied(directory)
        self.dead_letters = DeadLetters(directory)
        self._broker = broker
        self._clock = clock
        self._memory = Memory(directory)
        self._directory = directory
        self._stations: dict[str, Station] = {}
        self._ended: list[Station] = []  # which have counted all the same
        self._faults: dict[str, RuleError | TemplateError] = {}
        self._rules: dict[str, RuleMetrics] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._applying = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._replayer = Replayer(self.dead_letters)
        self._heir = Heir(directory, self.dead_letters, self._told, self._buffers, self._again) if directory else None
        self._closed = asyncio.Event()
        self._running = False
        self._keeps_back = self._notes = False  # while another pipeline hears the same messages

    async def run(self) -> None:
        """Receive and write until `close`. Collects garbage less often than Python's default, for the whole process:
        a burst keeps many objects and makes no cycles, and looking for them took a sixth of the time.
        """
        if gc.get_threshold()[0] == PYTHON_THRESHOLD:
            gc.set_threshold(YOUNG_OBJECTS)
        self._running = True
        await self.apply(self.config)
        self._tasks = [asyncio.create_task(self._sweep()), asyncio.create_task(self._sample())]
        await self._closed.wait()

    async def apply(self, config: Config) -> None:
        """Make this the configuration. Rows that wait are written by their action as it is then; a rule that cannot
        run is left out, and `status` says why. Returns at once; the broker and the databases follow.
        """
        self.config = config
        reach.use(config.reach)
        if not self._running:
            return
        async with self._applying:  # an heir applies as well, what is the configuration already
            if self._running:
                await self._apply(self.config)

    async def _apply(self, config: Config) -> None:
        resources = {resource.id: resource for resource in config.resources}
        places = self._places(config)
        for gone in self._stations.keys() - places.keys():
            self._leaving[gone] = asyncio.create_task(self._stations.pop(gone).close(GRACE, forget=True))
        for name, resource in places.items():
            await self._arrive(name, resource)
        definitions = self._define(config.rules, resources)
        self._rules = {rule.id: self._rules.get(rule.id, RuleMetrics()) for rule in config.rules}
        for station in self._stations.values():
            self._faults |= station.apply(definitions, config.rules, self._rules)
        counted = [one.history for one in self._rules.values()] + [one.metrics.history for _, one in self._batchers()]
        for history in counted:
            history.keep(config.metrics_minutes)

    def _places(self, config: Config) -> dict[str, Resource | None]:
        """What the stations are to be, by name. Where messages are shared, order takes stations of its own."""
        places = {BROKER: None} | {resource.id: resource for resource in config.resources}
        if self._broker.share and self._broker.ordered:
            ordered = {a.resource for rule in config.rules for a in rule.actions if in_order(a, rule)}
            places |= {id + ORDERED: places[id] for id in ordered & places.keys()}
        return places

    async def _arrive(self, name: str, resource: Resource | None) -> None:
        station = self._stations.get(name)
        if station is None:
            if leaving := self._leaving.pop(name, None):
                await leaving
            place = (self.dead_letters, self._memory, self._clock, self._directory, name.endswith(ORDERED))
            station = self._stations[name] = Station(resource, self._broker, *place)
            self._overlapped(station)
        elif resource is not None and station.resource != resource:
            await station.change(resource)

    # While another pipeline hears the same messages

    def keep_back(self) -> None:
        """Keep what comes from now on, until `go_on`."""
        self._keeps_back = True
        for station in self._stations.values():
            self._overlapped(station)

    def note(self) -> None:
        """Note the ids of what comes from now on."""
        self._notes = True
        for station in self._stations.values():
            self._overlapped(station)

    def _overlapped(self, station: Station) -> None:
        overlap = station.lane.overlap
        if self._keeps_back and overlap.kept is None:
            station.lane.keep_back()
        if self._notes and overlap.heard is None:
            overlap.heard = set()

    async def deafen(self) -> None:
        """Subscribe to nothing more, and return when what was sent until then has come."""
        await asyncio.gather(*(one.lane.deafen(CAUGHT_UP_SECONDS) for one in self._stations.values()))

    async def _caught_up(self) -> None:
        await asyncio.gather(*(one.lane.caught_up(CAUGHT_UP_SECONDS) for one in self._stations.values()))

    async def kept(self) -> dict[str, tuple[str, ...]]:
        """The ids of what is kept back, by the name of the place, once all has come that the broker has sent."""
        await self._caught_up()
        return {name: tuple(map(id_of, one.lane.overlap.kept or ())) for name, one in self._stations.items()}

    async def heard(self, ids: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
        """Which of these have come, by the name of the place; nothing more is noted."""
        await self._caught_up()
        found = {}
        self._notes = False
        for name, station in self._stations.items():
            asked, noted = ids.get(name.removesuffix(ORDERED), ()), station.lane.overlap.heard or set()
            found[name] = tuple(id for id in asked if id in noted)
            station.lane.overlap.heard = None
        return found

    def go_on(self, others: Mapping[str, Collection[str]]) -> None:
        """Give what was kept back to its rules, but what others have heard at the places where it is to be heard."""
        self._keeps_back = False
        ways = {
            rule.id: [(a.id, a.resource, ORDERED if in_order(a, rule) else "") for a in rule.actions]
            for rule in self.config.rules
        }
        for name, station in self._stations.items():

            def left(id: str, rule: str, name: str = name) -> tuple[list[str], bool]:
                known = {suffix: id in others.get(name + suffix, ()) for suffix in ("", ORDERED)}
                actions = [action for action, place, suffix in ways[rule] if place == name and not known[suffix]]
                return actions, not known[ways[rule][0][2] if ways[rule] else ""]

            station.lane.go_on(left)

    async def _sweep(self) -> None:
        """End sessions of resources that are long gone, which the broker would queue messages for, for ever. Version 0
        is a pipeline that was told nothing yet: it ends nothing.
        """
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self.config.version:
                self._sweep_buffers()
            ours = {station.lane.session.client_id for station in self._stations.values()}
            for client_id in set(self._memory.clients()) - ours if self.config.version else ():
                with contextlib.suppress(OSError, TimeoutError, Refused, IndexError):
                    session = Session(self._broker, client_id, lambda _: None, tuple, self._memory)
                    async with asyncio.timeout(CONNECT_SECONDS):
                        await session.end()

    def _sweep_buffers(self) -> None:
        """Remove what actions left on disk that were taken away while nothing ran here."""
        if self._directory is None or not all(task.done() for task in self._leaving.values()):
            return
        for place in set(self._directory.glob(PLACES)) - self._buffers().keys() - self._wanted():
            log.warning("rows in %s are of no action any more, and removed", place)
            shutil.rmtree(place, ignore_errors=True)

    def _buffers(self) -> dict[Path, Buffer]:
        return {place: one for station in self._stations.values() for place, one in station.lane.places().items()}

    def _wanted(self) -> set[Path]:
        """The places of rows that some action is to write."""
        actions = [(rule.id, action) for rule in self.config.rules for action in rule.actions]
        where = self._directory
        return {place_of(where, action.resource, (rule, action.id)) for rule, action in actions} if where else set()

    def _told(self) -> set[Path] | None:
        return self._wanted() if self.config.version else None

    async def inherit(self, directories: Iterable[Path]) -> None:
        """Take over what pipelines that are not needed any more left in these directories, once they have ended."""
        if self._heir is not None:
            await self._heir.inherit(directories)

    async def _again(self) -> None:
        await self.apply(self.config)

    def _define(self, rules: tuple[Rule, ...], resources: dict[str, Resource]) -> list[Definition]:
        self._faults = {}
        definitions = []
        for rule in rules:
            try:
                definition = define(rule, resources)
                check_broker(definition, self._broker)
            except (RuleError, TemplateError) as fault:
                self._faults[rule.id] = fault
            else:
                definitions.append(definition)
        return definitions

    async def ready(self) -> None:
        """Return when the broker has confirmed every subscription."""
        await asyncio.gather(*(station.lane.ready() for station in self._stations.values()))

    async def drained(self) -> None:
        """Return when no row waits."""
        for station in self._stations.values():
            await station.lane.drained()

    async def emptied(self, seconds: float) -> None:
        """Subscribe to nothing more; return when what the broker had is safe. Stations are looked up so often anew."""
        while not all(await asyncio.gather(*(one.lane.leave(seconds) for one in self._stations.values()))):
            pass

    async def dismiss(self, seconds: float) -> None:
        """Stop for good: take no new messages, write those that the broker still has for us, and let it forget us.

        What is not written within so many seconds stays with the broker, until a pipeline of this client id comes back.
        """
        if self._heir is not None:
            await self._heir.stop()
        await asyncio.gather(*(self._dismiss(station, seconds) for station in self._stations.values()))
        self._ended, self._stations = list(self._stations.values()), {}
        await self.close()

    async def _dismiss(self, station: Station, seconds: float) -> None:
        empty = await station.lane.leave(seconds)
        if not empty:
            log.error("rows for %r wait at the broker until as many processes run again", station.id)
        await station.close(GRACE if empty else 0, forget=empty)

    async def close(self, grace: float = GRACE, forget: bool = False) -> None:
        """Stop: what waits is written for at most `grace` seconds, the rest stays with the broker unless it forgets."""
        self._running = False
        for task in self._tasks:
            task.cancel()
        if self._heir is not None:
            await self._heir.stop()
        stations, self._stations = list(self._stations.values()), {}
        self._ended += stations
        try:
            await asyncio.gather(*(station.close(grace, forget) for station in stations), *self._leaving.values())
        finally:
            self._replayer.close()
            if self._lock is not None:
                self._lock.close()
            self._closed.set()

    async def _sample(self) -> None:
        """Note every counter at regular times."""
        while True:
            now = self._clock()
            for metrics in self._rules.values():
                metrics.sample(now)
            for _, batcher in self._batchers():
                batcher.measured().sample(now)
            await asyncio.sleep(INTERVAL)

    def _batchers(self) -> Iterator[tuple[tuple[str, str], Batcher]]:
        for station in (*self._stations.values(), *self._ended):
            yield from station.lane.actions().items()

    def replay(self, ids: Iterable[str]) -> dict[str, str]:
        """Give dead letters to their rules again: a reason for each that stays, "" for each that is on its way.

        A letter disappears when its rows are safe, or when a newer letter says why not.
        """
        return self._replayer.replay(ids, [station.lane for station in self._stations.values()])

    def reset_metrics(self, rule: str) -> None:
        """Count a rule and its actions from zero."""
        if rule in self._rules:
            self._rules[rule].reset()
        for (owner, _), batcher in self._batchers():
            if owner == rule:
                batcher.metrics.reset()

    def history(self, rule: str) -> dict[str, list[tuple[float, ...]]]:
        """Unix time, and what was counted until then, as long as kept. Under "" the rule's matched, passed and failed,
        by action id the rows received, written, failed and dropped.
        """
        found = {action: b.metrics.history.points() for (owner, action), b in self._batchers() if owner == rule}
        return found | ({"": self._rules[rule].history.points()} if rule in self._rules else {})

    def metrics(self) -> dict[str, Any]:
        """Counters and rates: `rules` by rule id, `actions` by rule id and action id, and the dead letters' number."""
        actions: dict[str, dict[str, Any]] = {}
        for (rule, action), batcher in self._batchers():
            actions.setdefault(rule, {})[action] = batcher.measured().snapshot()
        letters = {"count": len(self.dead_letters), "dropped": self.dead_letters.dropped}
        found = {"version": self.config.version, "actions": actions, "dead_letters": letters}
        return found | {"rules": {id: metrics.snapshot() for id, metrics in self._rules.items()}}

    def status(self) -> dict[str, Any]:
        """How each resource and each rule is: `status`, and where it is not well `reason`, `hop` and `hint`."""
        resources: dict[str, dict[str, Any]] = {}
        for station in self._stations.values():
            if station.id:
                known, now = resources.get(station.id), station.health.status()
                resources[station.id] = worst(known, now) if known else now
        rules = {rule.id: self._rule_status(rule, resources) for rule in self.config.rules}
        return {"version": self.config.version, "resources": resources, "rules": rules}

    def _rule_status(self, rule: Rule, resources: dict[str, dict[str, Any]]) -> dict[str, Any]:
        if fault := self._faults.get(rule.id):
            return {"status": "failed", "reason": str(fault)}
        if not rule.enable:
            return {"status": "stopped"}
        for station in self._stations.values():
            if deaf := station.lane.deafness(rule.id):
                return deaf
        for action in rule.actions:
            state = resources.get(action.resource, {})
            if state.get("status") == "disconnected":
                return {"status": "waiting", "reason": f"resource {action.resource}: {state['reason']}"}
        return {"status": "running"}
