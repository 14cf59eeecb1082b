"""What people ask of rules: SQL that parses, templates that fit it, actions on resources that exist."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from tieline.base.secrets import new_id
from tieline.cloud.model.history import timestamp
from tieline.cloud.model.problems import PlatformError, name_taken
from tieline.cloud.model.records import Action, Deployment, Name, Resource, Rule
from tieline.cloud.rules.trials import Trials
from tieline.cloud.store.repository import Repository
from tieline.integration.config import shapes as config
from tieline.integration.config.definition import action_paths
from tieline.integration.messages.events import reads_events
from tieline.integration.rules.compile.compile import Shape
from tieline.integration.rules.compile.template import check_fields
from tieline.integration.rules.values.errors import RuleError, TemplateError
from tieline.integration.sinks import ACTIONS, BY_TYPE
from tieline.integration.sinks.base.kind import Kind
from tieline.integration.trial.trial import Accepted, Answer, Check, Not, Refused, Tried, Try

MAX_SQL = 100_000  # characters; a rule is written by a person
REPUBLISH = "republish"  # the action that needs no resource: it goes back to the deployment's own broker


class NewRule(BaseModel):
    """A rule to create; an action of kind sql names its resource and has a statement with ${field}s."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "warm",
                    "sql": 'SELECT payload.device as device FROM "sensors/#" WHERE payload.temp > 20',
                    "actions": [{"resource": "orders", "sql": "insert into warm(device) values (${device})"}],
                }
            ]
        },
    )

    name: Name
    sql: str = Field(min_length=1, max_length=MAX_SQL)
    actions: tuple[Action, ...] = Field(default=(), max_length=50)
    enable: bool = True


class RuleSample(BaseModel):
    """A rule to try on a sample message: `context` has the message's fields, such as topic and payload."""

    model_config = ConfigDict(extra="forbid")

    sql: str = Field(min_length=1, max_length=MAX_SQL)
    context: dict[str, Any] = Field(default={}, examples=[{"topic": "sensors/1", "payload": {"temp": 21}}])


def create_rule(records: Repository, deployment: Deployment, wanted: NewRule, shape: Shape) -> Rule:
    """Record a rule of this shape whose actions fit; raises PlatformError with nothing changed."""
    if records.all(Rule, lambda item: (item.deployment, item.name) == (deployment.id, wanted.name)):
        raise name_taken("rule", wanted.name)
    _check_actions(records, deployment, wanted, shape)
    created = timestamp(time.time())
    rule = Rule(id=new_id("rule"), deployment=deployment.id, created=created, **wanted.model_dump())
    records.commit(write=[rule])
    return rule


def replace_rule(records: Repository, deployment: Deployment, found: Rule, wanted: NewRule, shape: Shape) -> Rule:
    """Record the rule as it is wanted now; raises PlatformError with nothing changed."""
    same = records.all(Rule, lambda item: (item.deployment, item.name) == (deployment.id, wanted.name))
    if any(other.id != found.id for other in same):
        raise name_taken("rule", wanted.name)
    _check_actions(records, deployment, wanted, shape)
    changed = found.model_copy(update={name: getattr(wanted, name) for name in NewRule.model_fields})
    if changed != found:
        records.commit(write=[changed])
    return records.get(Rule, found.id) or changed


def _check_actions(records: Repository, deployment: Deployment, wanted: NewRule, shape: Shape) -> None:
    resources = {item.name: item for item in records.all(Resource, lambda item: item.deployment == deployment.id)}
    ids = {name: item.id for name, item in resources.items()}
    if deployment.remote is not None and reads_events(shape.topics):
        raise _not_told("events of clients are told by the platform's own broker only, and this deployment's is not")
    for number, action in enumerate(wanted.actions):
        place, found = f"actions[{number}]", to_action(action, number, ids)
        kind = _check_kind(action, resources[action.resource], place) if action.resource else None
        _check(found, kind, shape, place)
        if deployment.remote is not None and getattr(found, "exactly_once", False):
            raise _not_told(f"{place}: exactly_once takes message ids, which only the platform's own broker gives")


def _not_told(message: str) -> PlatformError:
    return PlatformError(400, "NOT_TOLD", message, "see docs/rules.md on what a broker tells")


def _check_kind(action: Action, resource: Resource, place: str) -> Kind:
    """The kind of the resource; raises PlatformError where it does not do such actions."""
    kind = BY_TYPE[resource.type]
    kinds = kind.action_kinds
    if action.kind not in kinds:
        message = (
            f"{place}: {resource.name!r} is a {resource.type} resource, which takes no action of kind {action.kind}"
        )
        raise PlatformError(422, "INVALID_ACTION", message, f"kinds that it takes: {', '.join(kinds)}")
    return kind


async def shape_of(trials: Trials, sql: str, before: str = "") -> Shape:
    """What is known of a rule; raises PlatformError 400 naming the position where it is none, or can only fail.

    One that was saved with this SQL `before` stays as it is.
    """
    answer = await trials.ask(Check(sql, strict=sql != before))
    if isinstance(answer, Accepted):
        return answer.shape
    raise _problem(answer, sql, "the rule cannot be compiled")


async def try_rule(trials: Trials, question: Try) -> str:
    """What a rule makes of a sample message, as JSON; raises PlatformError 412 where it does not match."""
    answer = await trials.ask(question)
    if isinstance(answer, Tried):
        return answer.json
    raise _problem(answer, question.sql, "the rule fails on this message")


def _problem(answer: Answer, sql: str, failed: str) -> PlatformError:
    """The refusal that an answer means."""
    if isinstance(answer, Refused):
        error = RuleError(answer.message, sql, answer.offset, found=answer.found, expected=answer.expected)
        return rule_problem(error)
    message = answer.message if isinstance(answer, Not) else "it gave another answer than was asked for"
    if isinstance(answer, Not) and answer.why == "unmatched":
        return PlatformError(412, "NOT_MATCH", f"the rule does not match: {message}", "change sample or rule")
    return PlatformError(400, "RULE_FAILED", f"{failed}: {message}", "correct it")


def context_text(context: dict[str, Any]) -> str:
    """A sample's fields as the text that a trial takes."""
    return json.dumps(context)


def rule_problem(error: RuleError) -> PlatformError:
    """The answer to a rule that does not parse."""
    expected = f"expected {', '.join(error.expected)}" if error.expected else "correct the SQL at this place"
    return PlatformError(
        400,
        "RULE_ERROR",
        str(error),
        expected,
        line=error.line,
        column=error.column,
        offset=error.offset,
        found=error.found,
        expected=list(error.expected),
    )


def to_action(action: Action, number: int, resources: dict[str, str], rule: str = "") -> config.Action:
    """The action as the agent needs it; raises PlatformError where it is not one, or its resource is unknown.

    `resources` are ids by name; the action's id is made of the rule's and its number in it.
    """
    place = f"actions[{number}]"
    if action.kind not in ACTIONS:
        message = f"{place}: there is no kind of action {action.kind!r}"
        raise PlatformError(422, "INVALID_ACTION", message, _fields(action.kind))
    if action.resource not in resources and not (action.kind == REPUBLISH and not action.resource):
        message = f"{place}: there is no resource {action.resource!r}"
        raise PlatformError(422, "UNKNOWN_RESOURCE", message, f"resources: {', '.join(resources) or 'none yet'}")
    members = action.model_dump()
    members |= {"id": action_id(rule, number), "resource": resources.get(action.resource, "")}
    try:
        found: config.Action = msgspec.convert(members, config.Action)
    except msgspec.ValidationError as error:
        raise PlatformError(422, "INVALID_ACTION", f"{place}: {error}", _fields(action.kind)) from error
    return found


def _fields(kind: str) -> str:
    """The fields of an action of this kind, or the kinds that there are, in words."""
    if kind not in ACTIONS:
        return f"kinds: {', '.join(ACTIONS)}"
    return f"its fields: {', '.join(name for name in ACTIONS[kind].__struct_fields__ if name != 'id')}"


def action_id(rule: str, number: int) -> str:
    """The id of a rule's action, by its place."""
    return f"{rule}:{number}"


def _check(action: config.Action, kind: Kind | None, shape: Shape, place: str) -> None:
    """Raises PlatformError where a template is wrong, or names a field that the rule does not give."""
    try:
        check_fields(action_paths(action, kind), shape)
    except TemplateError as error:
        raise PlatformError(
            400, "TEMPLATE_ERROR", f"{place}: {error}", "correct the template", field=error.field
        ) from error
