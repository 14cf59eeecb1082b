"""All that concerns one resource: its own MQTT session, its rules, and the batches on their way to it.

A session for each resource keeps a dead database from holding up the others: the broker keeps back what the dead one's
session has not acknowledged, and only that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mqtt5 import PublishPacket

from tieline.integration import topics
from tieline.integration.batcher import Batcher
from tieline.integration.config import Action, Broker, Rule
from tieline.integration.deadletters import DeadLetters, letter
from tieline.integration.message import Foreign, Message
from tieline.integration.metrics import RuleMetrics
from tieline.integration.rules.compile import CompiledRule, failure
from tieline.integration.session import Session
from tieline.integration.sinks.base import Writer


@dataclass(frozen=True)
class Plan:
    """A rule with those of its actions that go to this lane's resource. `counts` for the lane that counts matches."""

    rule: Rule
    compiled: CompiledRule
    actions: tuple[tuple[Action, Writer], ...]
    counts: bool


class Route:
    """A rule as the receiving loop needs it."""

    __slots__ = ("apply", "batchers", "counts", "metrics", "rule")

    def __init__(self, plan: Plan, batchers: list[Batcher], metrics: RuleMetrics) -> None:
        self.rule = plan.rule.id
        self.apply = plan.compiled.apply
        self.batchers = batchers
        self.counts = plan.counts
        self.metrics = metrics


class Lane:
    """One resource's share of the pipeline."""

    def __init__(
        self,
        broker: Broker,
        name: str,
        letters: DeadLetters,
        clock: Callable[[], float],
    ) -> None:
        client_id = f"{broker.client_id}-{name}" if name else broker.client_id
        self.session = Session(broker, client_id, self._receive, self._outstanding)
        self._broker = broker
        self._message = Message if broker.origin else Foreign
        self._letters = letters
        self._clock = clock
        self._index: topics.Index[Route] = topics.Index(())
        self._batchers: dict[tuple[str, str], Batcher] = {}
        self._tasks: dict[object, asyncio.Task[None]] = {}
        self._pending: dict[int, Message] = {}
        self._bytes = 0
        self._closing = False

    # Changing rules

    def apply(self, plans: Sequence[Plan], metrics: dict[str, RuleMetrics]) -> None:
        """Take these rules from the next message on; rows that wait go to their action as it is now."""
        routes: list[tuple[str, Route]] = []
        wanted = set()
        for plan in plans:
            keys = [(plan.rule.id, action.id) for action, _ in plan.actions]
            batchers = [
                self._batcher(key, action, writer) for key, (action, writer) in zip(keys, plan.actions, strict=True)
            ]
            wanted.update(keys)
            route = Route(plan, batchers, metrics[plan.rule.id])
            routes.extend((topic, route) for topic in plan.compiled.topics)
        self._index = topics.Index(routes)
        for key in self._batchers.keys() - wanted:
            self._retire(key)
        self.session.filters = frozenset(topics.widest(topic for topic, _ in routes))
        self.session.reconcile()
        if routes and self.session not in self._tasks:
            self._tasks[self.session] = asyncio.create_task(self.session.run())

    def _batcher(self, key: tuple[str, str], action: Action, writer: Writer) -> Batcher:
        batcher = self._batchers.get(key)
        if batcher is None:
            rule = key[0]

            def bury(message: Message, output: dict[str, Any], error: str) -> None:
                now = int(self._clock() * 1000)
                self._letters.add([letter(message, rule, action.id, error, now, output)])

            batcher = Batcher(action, writer, self._done, bury, self._clock)
            self._batchers[key] = batcher
            self._tasks[batcher] = asyncio.create_task(batcher.run())
        elif batcher.action != action or batcher.writer is not writer:
            batcher.update(action, writer)
        return batcher

    def _retire(self, key: tuple[str, str]) -> None:
        batcher = self._batchers.pop(key)
        batcher.retire()

        async def finish() -> None:
            await batcher.drained()
            task = self._tasks.pop(batcher)
            task.cancel()
            self._tasks.pop(key, None)

        self._tasks[key] = asyncio.create_task(finish())

    # Messages

    def _receive(self, packets: list[PublishPacket]) -> None:
        """The loop that every message goes through."""
        now = int(self._clock() * 1000)
        epoch, lookup, make, pending = self.session.epoch, self._index.lookup, self._message, self._pending
        finished: list[tuple[int, int]] = []
        for packet in packets:
            qos = int(packet.qos)
            message = make(packet.topic, packet.payload, qos, now, packet, epoch)
            for route in lookup(message.topic):
                self._apply(route, message)
            if message.pending == 0:
                if qos:
                    finished.append((packet.packet_id, qos))  # type: ignore[arg-type]
                continue
            self._bytes += len(message.payload)
            if qos:
                pending[packet.packet_id] = message  # type: ignore[index]
        if finished:
            self.session.acknowledge(finished, epoch)
        if self._bytes > self._broker.receive_bytes:
            self.session.pause()

    def _apply(self, route: Route, message: Message) -> None:
        metrics = route.metrics
        try:
            outputs = route.apply(message)
        except Exception as error:
            self._failed(route, message, error)
            return
        if route.counts:
            metrics.matched += 1
            metrics.passed += bool(outputs)
        if outputs:
            for batcher in route.batchers:
                message.pending += len(outputs)
                batcher.add(outputs, message)

    def _failed(self, route: Route, message: Message, error: Exception) -> None:
        if not route.counts:
            return  # the lane that counts keeps the letter
        metrics, reason, now = route.metrics, str(failure(error)), int(self._clock() * 1000)
        metrics.matched += 1
        metrics.exceptions += 1
        metrics.last_error, metrics.last_error_at = reason, now
        self._letters.add([letter(message, route.rule, "", reason, now)])

    def _done(self, messages: Sequence[Message]) -> None:
        """One row of each of these messages needs nothing more; a message without rows is acknowledged."""
        epoch, pending = self.session.epoch, self._pending
        finished: list[tuple[int, int]] = []
        for message in messages:
            message.pending -= 1
            if message.pending:
                continue
            self._bytes -= len(message.payload)
            if message.qos and message.epoch == epoch:
                packet_id: int = message.packet.packet_id  # type: ignore[union-attr,assignment]
                pending.pop(packet_id, None)
                finished.append((packet_id, message.qos))
        self.session.acknowledge(finished, epoch)
        if self._bytes <= self._broker.receive_bytes // 2 and not self._closing:
            self.session.resume()

    def _outstanding(self) -> list[int]:
        epoch = self.session.epoch
        return [packet_id for packet_id, message in self._pending.items() if message.epoch == epoch]

    # Looking at it

    async def ready(self) -> None:
        """Return when the broker has confirmed the subscriptions, at once where there are none."""
        if self.session.filters:
            await self.session.subscribed.wait()

    async def drained(self) -> None:
        """Return when no row waits."""
        await asyncio.gather(*(batcher.drained() for batcher in self._batchers.values()))

    @property
    def pending(self) -> int:
        """Messages that are received and not safe yet."""
        return len(self._pending)

    def actions(self) -> dict[tuple[str, str], Batcher]:
        """The batches on their way, by rule and action."""
        return dict(self._batchers)

    async def close(self, grace: float, forget: bool = False) -> None:
        """Stop receiving, write for at most `grace` seconds what waits, say goodbye to the broker."""
        self._closing = True
        self.session.pause()
        if self._batchers and grace > 0:
            waiting = [asyncio.ensure_future(batcher.drained()) for batcher in self._batchers.values()]
            _, late = await asyncio.wait(waiting, timeout=grace)
            for one in late:
                one.cancel()
        await self.session.close(forget)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
