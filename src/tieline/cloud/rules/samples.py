"""A recorded rule, tried on a sample message: what it gives, and what each action would send."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tieline.cloud.model.records import Deployment, Resource, Rule
from tieline.cloud.rules.service import context_text, to_action, try_rule
from tieline.cloud.rules.trials import Trials
from tieline.cloud.store.repository import Repository
from tieline.integration.trial.trial import Try


class Sample(BaseModel):
    """A sample message: `context` has its fields, such as topic and payload, or `event` and an event's fields."""

    model_config = ConfigDict(extra="forbid")

    context: dict[str, Any] = Field(default={}, examples=[{"topic": "sensors/1", "payload": {"temp": 21}}])


class Rendered(BaseModel):
    """What one action would send for one output."""

    kind: str
    resource: str
    fields: dict[str, Any] = Field(description="the values of the fields that its templates name")
    texts: dict[str, str] = Field(description="its templates with these values; a SQL statement keeps its parameters")


class SampleResult(BaseModel):
    """What the rule makes of the sample, and for each of its outputs what each action would send."""

    result: Any
    actions: list[list[Rendered]]


async def try_saved(trials: Trials, records: Repository, within: Deployment, rule: Rule, sample: Sample) -> str:
    """A SampleResult as JSON; raises PlatformError 412 where the rule does not match, 400 where it fails."""
    resources = {one.name: one.id for one in records.all(Resource, lambda one: one.deployment == within.id)}
    actions = tuple(to_action(action, number, resources, rule.id) for number, action in enumerate(rule.actions))
    return await try_rule(trials, Try(rule.sql, context_text(sample.context), actions))
