"""A recorded rule, tried on a sample message: what it gives, and what each action would send."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from tieline.cloud.records import Deployment, Resource, Rule
from tieline.cloud.repository import Repository
from tieline.cloud.rules import RuleSample, to_action, try_rule
from tieline.integration import config
from tieline.integration.definition import action_paths
from tieline.integration.rules.template import lookup, text_template


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


async def try_saved(records: Repository, within: Deployment, rule: Rule, sample: Sample) -> SampleResult:
    """Raises PlatformError 412 where the rule does not match, 400 where it fails."""
    result = await try_rule(RuleSample(sql=rule.sql, context=sample.context))
    resources = {one.name: one.id for one in records.all(Resource, lambda one: one.deployment == within.id)}
    actions = [to_action(action, number, resources, rule.id) for number, action in enumerate(rule.actions)]
    outputs = result if isinstance(result, list) else [result]
    return SampleResult(result=result, actions=[[_rendered(one, output) for one in actions] for output in outputs])


def _rendered(action: config.Action, output: dict[str, Any]) -> Rendered:
    fields = {".".join(path) or ".": lookup(output, path) for path in action_paths(action)}
    members = msgspec.to_builtins(action)
    texts = {name: value for name, value in members.items() if isinstance(value, str) and "${" in value}
    shown = {name: text if name == "sql" else text_template(text).render(output) for name, text in texts.items()}
    return Rendered(kind=members["kind"], resource=action.resource, fields=fields, texts=shown)
