"""A place that rules write to, a database or the broker itself: its connections, health and share of messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tieline.integration.config.definition import Definition
from tieline.integration.config.shapes import Action, Broker, Resource, Rule
from tieline.integration.delivery.dead_letters import DeadLetters
from tieline.integration.delivery.health import Health
from tieline.integration.delivery.lane import Lane
from tieline.integration.delivery.routes import Plan
from tieline.integration.messages.events import PREFIX
from tieline.integration.metrics import RuleMetrics
from tieline.integration.mqtt.session_store import Memory
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks import open_broker, open_sink
from tieline.integration.sinks.base.kind import Sink

ORDERED = "-ordered"  # behind the name of a place for actions whose order is kept
BROKER = ""  # the id of the place that is the broker: republished messages, and rules that only count


def in_order(action: Action, rule: Rule) -> bool:
    """Whether each client's messages are to be written in their order; events are not shared by Mosquitto at all."""
    return action.inflight_window == 1 or PREFIX in rule.sql


class Station:
    """One place. Its MQTT session is its own, so that a dead database holds up nobody else's messages.

    Where processes share messages, actions whose order is kept have a station of their own at the same place.
    """

    def __init__(
        self,
        resource: Resource | None,
        broker: Broker,
        letters: DeadLetters,
        memory: Memory,
        clock: Callable[[], float],
        directory: Path | None = None,
        ordered: bool = False,
    ) -> None:
        self.id = resource.id if resource is not None else BROKER
        self.resource = resource
        self._shared, self._ordered = bool(broker.share), ordered
        if ordered:  # a client of its own, to publish as well
            share = "" if broker.alone else broker.share + ORDERED
            broker = msgspec.structs.replace(broker, share=share, client_id=broker.client_id + ORDERED)
        self.lane = Lane(broker, self.id, letters, memory, clock, directory)
        self.sink: Sink = open_sink(resource) if resource is not None else open_broker(broker)
        self.health = Health(self.lane, lambda: self.sink, clock)

    async def change(self, resource: Resource) -> None:
        """Use other connections from the next write on."""
        old, self.resource, self.sink = self.sink, resource, open_sink(resource)
        await old.close()

    def apply(
        self, definitions: list[Definition], rules: Sequence[Rule], metrics: dict[str, RuleMetrics]
    ) -> dict[str, TemplateError]:
        """Run those of the definitions that have something to do here; the answer is why others cannot, by rule. Rows
        of other `rules`, which are disabled or cannot run, stay.
        """
        plans, faults = [], {}
        for definition in definitions:
            try:
                plan = self._plan(definition)
            except TemplateError as fault:
                faults[definition.rule.id] = fault
            else:
                plans += [plan] if plan is not None else []
        wanted = {(rule.id, action.id) for rule in rules for action in rule.actions if self._takes(action, rule)}
        self.lane.apply(plans, metrics, wanted)
        if self.resource is not None or any(plan.actions for plan in plans):
            self.health.start()
        return faults

    def _plan(self, definition: Definition) -> Plan | None:
        """The rule with its actions for this place. The place of a rule's first action counts its matches."""
        actions = definition.rule.actions
        ours = tuple((action, self.sink.writer(action)) for action in actions if self._takes(action, definition.rule))
        counts = self._takes(actions[0], definition.rule) if actions else self.id == BROKER and not self._ordered
        return Plan(definition.rule, definition.compiled, ours, counts) if ours or counts else None

    def _takes(self, action: Action, rule: Rule) -> bool:
        return action.resource == self.id and (self._shared and in_order(action, rule)) == self._ordered

    async def close(self, grace: float, forget: bool) -> None:
        """Write what waits if it can be done within the grace; the broker forgets a place that is gone."""
        self.health.stop()
        await self.lane.close(grace, forget)
        await self.sink.close()
