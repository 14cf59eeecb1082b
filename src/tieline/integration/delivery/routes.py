"""A rule with its actions at one place: as it is planned, and as the loop that receives messages needs it."""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from dataclasses import dataclass

from tieline.integration.config.shapes import Action, Rule
from tieline.integration.delivery.batcher import Batcher
from tieline.integration.delivery.buffer import Buffer
from tieline.integration.metrics import RuleMetrics
from tieline.integration.rules.compile.compile import CompiledRule
from tieline.integration.sinks.base.kind import Writer


@dataclass(frozen=True)
class Plan:
    """A rule with those of its actions that go to this lane's resource. `counts` for the lane that counts matches."""

    rule: Rule
    compiled: CompiledRule
    actions: tuple[tuple[Action, Writer], ...]
    counts: bool


class Route:
    """A rule as the receiving loop needs it."""

    __slots__ = ("apply", "batchers", "counts", "foreach", "metrics", "rule", "topics")

    def __init__(self, plan: Plan, batchers: list[Batcher | Buffer], metrics: RuleMetrics) -> None:
        self.rule = plan.rule.id
        self.topics = plan.compiled.topics
        self.apply = plan.compiled.apply
        self.batchers = batchers
        self.counts = plan.counts
        self.foreach = plan.compiled.foreach
        self.metrics = metrics

    def only(self, actions: Collection[str], counts: bool) -> Route | None:
        """The rule with these of its actions, None where nothing is left of it."""
        batchers, counts = [way for way in self.batchers if way.action.id in actions], self.counts and counts
        if len(batchers) == len(self.batchers) and counts == self.counts:
            return self
        other = copy(self)
        other.batchers, other.counts = batchers, counts
        return other if batchers or counts else None
