"""A rule as it was defined, checked and compiled: what the pipeline runs, and what an API refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tieline.integration.config.shapes import Action, Broker, Republish, Resource, Rule
from tieline.integration.messages.events import reads_events
from tieline.integration.messages.topics import matches
from tieline.integration.rules.compile.compile import CompiledRule, compile_rule
from tieline.integration.rules.compile.template import Path, check_fields, text_template
from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks import SINKS
from tieline.integration.sinks.base.kind import Kind


@dataclass(frozen=True)
class Definition:
    """A rule that can run."""

    rule: Rule
    compiled: CompiledRule


def define(rule: Rule, resources: Mapping[str, Resource]) -> Definition:
    """Check a rule and its actions; raises RuleError (its SQL) or TemplateError (an action, which is named)."""
    compiled = compile_rule(rule.sql)
    for action in rule.actions:
        _check_place(action, resources)
        resource = resources.get(action.resource)
        try:
            check_fields(action_paths(action, SINKS[type(resource)] if resource else None), compiled)
        except TemplateError as error:
            raise TemplateError(f"action {action.id}: {error}", error.field) from None
    _refuse_circles(rule, compiled)
    return Definition(rule, compiled)


def check_broker(definition: Definition, broker: Broker) -> None:
    """Raises TemplateError where a rule needs what this broker does not give."""
    if reads_events(definition.compiled.topics) and not broker.events:
        raise TemplateError("events of clients are told by the deployment's own broker only")
    once = [action.id for action in definition.rule.actions if getattr(action, "exactly_once", False)]
    if once and not broker.origin:
        raise TemplateError(
            f"action {once[0]}: to write each message once takes message ids, which only the deployment's own broker "
            "gives, with its plugin"
        )


def _check_place(action: Action, resources: Mapping[str, Resource]) -> None:
    """An action needs a resource that can do it; to republish needs none."""
    resource = resources.get(action.resource)
    if isinstance(action, Republish):
        if action.resource:
            raise TemplateError(f"action {action.id}: {action.resource!r} is no broker to publish to")
    elif resource is None:
        raise TemplateError(f"action {action.id}: there is no resource {action.resource!r}")
    elif type(action) not in SINKS[type(resource)].actions:
        kind, actions = SINKS[type(resource)], ", ".join(SINKS[type(resource)].action_kinds)
        raise TemplateError(f"action {action.id}: a {kind.type} resource takes actions of kind {actions}")


def _refuse_circles(rule: Rule, compiled: CompiledRule) -> None:
    """A rule that publishes to a topic it reads from would never end."""
    for action in rule.actions:
        if isinstance(action, Republish) and not text_template(action.topic).paths:
            for topic in compiled.topics:
                if not action.resource and matches(topic, action.topic):
                    raise TemplateError(
                        f"action {action.id}: {action.topic} is read by this rule ({topic}) again, for ever"
                    )


def action_paths(action: Action, kind: Kind | None = None) -> tuple[Path, ...]:
    """The fields that an action's templates name, in the grammar of its resource's kind; raises TemplateError."""
    return kind.paths_of(action) if kind is not None else action.paths()
