"""All that concerns one resource: its own MQTT session, its rules, and the batches on their way to it.

A session for each resource keeps a dead database from holding up the others: the broker keeps back what the dead one's
session has not acknowledged, and only that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tieline.base.shutdown import cancelled
from tieline.integration.config.shapes import Broker
from tieline.integration.delivery import qos0
from tieline.integration.delivery.batcher import Batcher
from tieline.integration.delivery.buffer import Buffer
from tieline.integration.delivery.dead_letters import DeadLetter, DeadLetters, letter
from tieline.integration.delivery.outlets import Key, Outlets
from tieline.integration.delivery.overlap import Left, Overlap, id_of
from tieline.integration.delivery.routes import Plan, Route
from tieline.integration.messages import topics
from tieline.integration.messages.message import UNREAD, Message
from tieline.integration.metrics import RuleMetrics
from tieline.integration.mqtt.session import Session
from tieline.integration.mqtt.session_store import Memory
from tieline.integration.rules.compile.compile import Failures, Item, failure
from tieline.integration.rules.values.errors import NotMatched

HELD: Final = 0.5  # of what may wait, that is in hand before an action whose rows are all refused keeps its own on disk
QUIET_SECONDS: Final = 0.5  # without a message after which the broker has no more for us


class Lane:
    """One resource's share of the pipeline."""

    def __init__(
        self,
        broker: Broker,
        name: str,
        letters: DeadLetters,
        memory: Memory,
        clock: Callable[[], float],
        directory: Path | None = None,
    ) -> None:
        client_id = f"{broker.client_id}-{name}" if name else broker.client_id
        share = f"{broker.share}-{name}" if broker.share and name else broker.share  # each lane hears every message
        self.session = Session(
            msgspec.structs.replace(broker, share=share), client_id, self._receive, self._outstanding, memory, clock
        )
        self._broker = broker
        self._letters = letters
        self._clock = clock
        self._index: topics.Index[Route] = topics.Index(())
        self._outlets = Outlets(letters, clock, self._done, name, directory, lambda: self._full(HELD), self._rerouted)
        self._receiving: asyncio.Task[None] | None = None
        self._routes: dict[str, Route] = {}
        self._replays: dict[int, tuple[Message, Callable[[], None]]] = {}
        self._bytes = 0  # of payload that is received and not safe
        self._held = 0  # messages likewise
        self._seen = 0  # messages so far
        self._closing = False
        self.overlap = Overlap()

    # Changing rules

    def apply(self, plans: Sequence[Plan], metrics: dict[str, RuleMetrics], wanted: Collection[Key]) -> None:
        """Take these rules from the next message on; rows that wait go to their action as it is now. Those of actions
        that are not wanted any more are dropped, if they cannot be written at once.
        """
        routes: list[tuple[str, Route]] = []
        for plan in plans:
            keys = [(plan.rule.id, action.id) for action, _ in plan.actions]
            ways = [
                self._outlets.inlet(k, action, writer) for k, (action, writer) in zip(keys, plan.actions, strict=True)
            ]
            if plan.rule.enable:
                route = Route(plan, ways, metrics[plan.rule.id])
                routes.extend((topic, route) for topic in plan.compiled.topics)
        self._index = topics.Index(routes)
        self._routes = {route.rule: route for _, route in routes}
        self._outlets.keep(wanted)
        self.session.subscribe(topics.disjoint(topic for topic, _ in routes))
        if routes and self._receiving is None:
            self._receiving = asyncio.create_task(self.session.run())

    def _rerouted(self, batcher: Batcher, buffer: Buffer) -> None:
        """Rows for this batcher go by the buffer from now on."""
        for route in self._routes.values():
            route.batchers[:] = [buffer if way is batcher else way for way in route.batchers]

    # Messages

    def _receive(self, messages: list[Message]) -> None:
        """Every message goes through here. Neighbours with the same rules are handled together, in their order."""
        self._seen += len(messages)
        self.overlap.note(messages)
        if self.overlap.kept is not None:
            self.overlap.kept += messages
            self._count(messages, 1)
            return
        self._take(messages)

    def _count(self, messages: Sequence[Message], sign: int) -> None:
        """Count messages as in hand, or not any more."""
        self._bytes += sign * sum([len(message.payload) for message in messages])
        self._held += sign * len(messages)
        if self._full(1):
            self.session.read(False)

    def _take(self, messages: list[Message]) -> None:
        known, lookup = self._index.known, self._index.lookup
        run: list[Message] = []
        current: tuple[Route, ...] = ()
        taken = 0
        try:
            for message in messages:
                topic = message.topic
                routes = known.get(topic) or lookup(topic)
                if routes is not current:
                    self._apply(current, run)
                    taken += len(run)
                    current, run = routes, []
                run.append(message)
            self._apply(current, run)
        except OSError as full:  # the broker sends again what it keeps
            qos0.lost(messages[taken:], self._index, str(full), int(self._clock() * 1000))
            raise
        if self._full(1):
            self.session.read(False)

    def _full(self, share: float) -> bool:
        """Whether more than this share of what may wait is waiting.

        Counted here too: QoS 0 has no limit at the broker, and Mosquitto 2.0 sends more than the receive maximum when
        some messages are acknowledged before older ones.
        """
        broker = self._broker
        return self._bytes > broker.receive_bytes * share or self._held > broker.receive_maximum * share

    def _apply(self, routes: tuple[Route, ...], messages: list[Message]) -> None:
        """Put what these rules make of these messages on its way, and acknowledge what they make nothing of."""
        if len(routes) == 1 and len(routes[0].batchers) == 1 and not routes[0].foreach:
            (items,) = self._evaluate(routes, messages, keep=False)
            size = sum([len(message.payload) for _, message in items])
            way = routes[0].batchers[0]
            way.add(way.enriched(items), size)
            self._bytes += size
            self._held += len(items)
            if len(items) < len(messages):
                used = {id(message) for _, message in items}
                self.session.acknowledge([message for message in messages if id(message) not in used])
            return
        self._apply_many(routes, messages)

    def _apply_many(self, routes: tuple[Route, ...], messages: list[Message]) -> None:
        """The general case: a message may become any number of rows in any number of places."""
        for message in messages:
            message.more = -1
        for route, items in zip(routes, self._evaluate(routes, messages, keep=True), strict=True):
            size = sum([len(message.payload) for _, message in items])
            for batcher in route.batchers:
                for _, message in items:
                    message.more += 1
                batcher.add(batcher.enriched(items), size)
        unused = []
        for message in messages:
            message.decoded = UNREAD
            if message.more < 0:
                message.more = 0
                unused.append(message)
            else:
                self._bytes += len(message.payload)
                self._held += 1
        self.session.acknowledge(unused)

    def _evaluate(self, routes: tuple[Route, ...], messages: list[Message], keep: bool) -> list[list[Item]]:
        """What each rule makes of the messages, once the dead letters are safe. Raises OSError, and nothing counts:
        none of the messages is in hand, and the broker sends them again.
        """
        found: list[list[Item]] = []
        letters: list[DeadLetter] = []
        for route in routes:
            failures: Failures = []
            found.append(route.apply(messages, failures, keep))
            if failures and route.counts:
                letters += self._failed(route, failures)
        if letters:
            try:
                self._letters.add(letters)
            except OSError as full:
                raise OSError(f"a dead letter could not be kept: {full}") from full
        for route, items in zip(routes, found, strict=True):
            if route.counts:
                route.metrics.matched += len(messages)
                route.metrics.passed += len({id(message) for _, message in items}) if route.foreach else len(items)
        for one in letters:
            self._routes[one.rule].metrics.exceptions += 1
        return found

    def _failed(self, route: Route, failures: Failures) -> list[DeadLetter]:
        now = int(self._clock() * 1000)
        letters = [letter(message, route.rule, "", said(error), now) for message, error in failures]
        route.metrics.last_error, route.metrics.last_error_at = letters[-1].error, now
        return letters

    def _done(self, messages: Sequence[Message]) -> None:
        """One row of each of these messages needs nothing more; a message without rows is acknowledged."""
        finished: list[Message] = []
        for message in messages:
            if message.more:
                message.more -= 1
            else:
                finished.append(message)
        self._bytes -= sum([len(message.payload) for message in finished])
        self._held -= len(finished)
        if self._replays:
            finished = [message for message in finished if not self._replayed(message)]
        self.session.acknowledge(finished)
        for message in finished:
            message.packet = None
        if not self._closing and not self._full(0.5):
            self.session.read(True)

    # Dead letters

    def serves(self, rule: str, action: str) -> bool:
        """Whether an action of a rule, or any of it where none is named, writes here."""
        known = self._outlets.batchers if rule in self._routes else ()
        return any(owner == rule and action in ("", name) for owner, name in known)

    def replay(self, rule: str, action: str, message: Message, done: Callable[[], None]) -> None:
        """Put a message through a rule again for this action, or for all; `done` is called when its rows are safe or in
        the dead letters. Raises RuleFailure or NotMatched, and then nothing happens.
        """
        failures: Failures = []
        items = self._routes[rule].apply([message], failures, False)
        if failures:
            raise failure(failures[0][1])
        if not items:
            raise NotMatched("the rule does not match this message any more")
        chosen = [b for (owner, name), b in self._outlets.batchers.items() if owner == rule and action in ("", name)]
        message.more = len(items) * len(chosen) - 1
        self._replays[id(message)] = (message, done)
        self._bytes += len(message.payload)
        self._held += 1
        for batcher in chosen:
            batcher.add(batcher.enriched(list(items)), len(message.payload))

    def _replayed(self, message: Message) -> bool:
        """Tell whoever asked for a replay that it is done; False for a message of the broker."""
        if (found := self._replays.pop(id(message), None)) is None:
            return False
        found[1]()
        return True

    def _outstanding(self) -> list[Message]:
        """The messages that are received and not safe yet."""
        held = {id(message): message for message in (*self._outlets.held(), *(self.overlap.kept or ()))}
        return [message for message in held.values() if message.packet is not None]

    # While others hear the same

    def keep_back(self) -> None:
        """Keep what comes from now on, until `go_on`."""
        self.overlap.kept = []

    def go_on(self, left: Left) -> None:
        """Give what was kept back to its rules, and of each to those actions that others do not write."""
        kept = self.overlap.end()
        self._count(kept, -1)
        try:
            for message in kept:
                known = id_of(message)
                routes = [route.only(*left(known, route.rule)) for route in self._index.lookup(message.topic)]
                self._apply(tuple(route for route in routes if route is not None), [message])
        except OSError as error:
            self.session.abort(f"a dead letter could not be kept: {error}")  # the broker sends again what it keeps
        if not self._full(0.5):
            self.session.read(True)

    async def deafen(self, seconds: float) -> None:
        """Subscribe to nothing more, and return when what was sent until then has come, or the time is over."""
        self.session.subscribe(())
        await self.caught_up(seconds)

    async def caught_up(self, seconds: float) -> None:
        """Return when all has come that the broker sent until now, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.session.heard()

    # Looking at it

    def deafness(self, rule: str) -> dict[str, str]:
        """The status of a rule that does not hear its messages here, and the reason; empty where nothing is wrong."""
        route = self._routes.get(rule)
        return self.session.deafness(route.topics) if route is not None else {}

    async def ready(self) -> None:
        """Return when the broker has confirmed the subscriptions, at once where there are none."""
        if self.session.subscriptions.wanted:
            await self.session.confirmed()

    async def drained(self) -> None:
        """Return when no row waits."""
        await self._outlets.drained()

    @property
    def pending(self) -> int:
        """Messages that are received and not safe yet."""
        return self._held

    def places(self) -> dict[Path, Buffer]:
        """Its buffers by their directories."""
        return self._outlets.places()

    def working(self) -> list[Batcher]:
        """The batches of rules that run, and those that still have rows."""
        return [one for (rule, _), one in self._outlets.batchers.items() if rule in self._routes or one.busy]

    def actions(self) -> dict[tuple[str, str], Batcher]:
        """The batches on their way, by rule and action."""
        return dict(self._outlets.batchers)

    async def leave(self, seconds: float) -> bool:
        """Subscribe to nothing more, and return when what the broker has for us is safe, or the time is over: False."""
        self.session.subscribe(())
        if self._receiving is None:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                seen, told = -1, False
                while seen != self._seen or self._held or not told:
                    seen = self._seen
                    await asyncio.sleep(QUIET_SECONDS)
                    told = await self.session.heard()  # a slow broker is quiet as well
                return True
        return False

    async def close(self, grace: float, forget: bool = False) -> None:
        """Stop receiving, write for at most `grace` seconds what waits, say goodbye to the broker."""
        self._closing = True
        self.session.read(False)
        await self._outlets.close(grace)
        qos0.say_lost(self.session.client_id, self._outstanding())
        await self.session.close(forget)
        if self._receiving is not None:
            await cancelled(self._receiving)
        await self._outlets.end()


def said(error: Exception) -> str:
    """What a rule's error says, whatever it is."""
    try:
        return str(failure(error))
    except Exception as broken:
        return f"{type(error).__name__}, which cannot be told: {type(broken).__name__}"
