"""REST: rules, and their test on a sample message."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from tieline.cloud.answers import RuleAnswer, RuleResult, Rules
from tieline.cloud.api.context import Key, There, Within, deployment, item
from tieline.cloud.api.errors import documented
from tieline.cloud.platform import Platform
from tieline.cloud.protocol import Condition
from tieline.cloud.records import Rule
from tieline.cloud.rules import NewRule, RuleSample, action_id, create_rule, try_rule

router = APIRouter(prefix="/deployments/{id}/rules", tags=["rules"], responses=documented(401, 404, 422))


@router.get("")
async def list_rules(there: There, within: Within) -> Rules:
    """The rules of a deployment, in order of id."""
    rules = there.records.all(Rule, lambda rule: rule.deployment == within.id)
    return Rules(rules=[_view(there, rule) for rule in rules])


@router.post("", status_code=201, responses=documented(400, 409))
async def create(there: There, within: Within, wanted: NewRule) -> RuleAnswer:
    """Create a rule; 400 names the place where its SQL or a template is wrong."""
    rule = create_rule(there.records, within, wanted)
    there.changed(within.id)
    return _view(there, rule)


@router.post("/test", responses=documented(400, 412), dependencies=[Depends(deployment)])
async def test(sample: RuleSample) -> RuleResult:
    """What a rule makes of a sample message; 412 NOT_MATCH where it does not take it."""
    return RuleResult(result=await try_rule(sample))


@router.get("/{rule}")
async def get(there: There, within: Within, rule: Key) -> RuleAnswer:
    """One rule by id or name."""
    return _view(there, item(there, Rule, within, rule, "rule"))


@router.delete("/{rule}", status_code=204)
async def delete(there: There, within: Within, rule: Key) -> None:
    """Delete a rule; messages that it already took are still written."""
    there.records.commit(delete=[item(there, Rule, within, rule, "rule")])
    there.changed(within.id)


def _view(there: Platform, rule: Rule) -> RuleAnswer:
    report = there.hub.report(rule.deployment)
    found = report.status.rules.get(rule.id, Condition())
    actions = report.metrics.actions.get(rule.id, {})
    return RuleAnswer(
        **rule.model_dump(),
        status=found.status,
        reason=found.reason,
        metrics=report.metrics.rules.get(rule.id, {}),
        action_metrics=[actions.get(action_id(rule.id, number), {}) for number in range(len(rule.actions))],
    )
