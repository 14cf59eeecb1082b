"""REST: rules, and their test on a sample message."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Response

from tieline.agent.protocol import Condition
from tieline.cloud.api.common.context import (
    Asked,
    Asking,
    IfMatch,
    Key,
    Records,
    There,
    Within,
    deployment,
    everywhere,
    item,
    tagged,
)
from tieline.cloud.api.common.errors import documented
from tieline.cloud.api.common.once import Once
from tieline.cloud.model.pages import Page, cut
from tieline.cloud.model.records import Deployment, Rule
from tieline.cloud.platform.platform import Platform
from tieline.cloud.rules.samples import Sample, SampleResult, try_saved
from tieline.cloud.rules.service import (
    NewRule,
    RuleSample,
    action_id,
    context_text,
    create_rule,
    replace_rule,
    shape_of,
    try_rule,
)
from tieline.cloud.schemas.answers import ActionSampled, RuleAnswer, RuleMetrics, RuleResult, Rules, RuleSampled
from tieline.cloud.store.edits import check_match, checked, merged
from tieline.cloud.store.repository import Repository
from tieline.integration.trial.trial import Try
from tieline.integration.worker.messages import Past, Reset

router = APIRouter(prefix="/deployments/{id}/rules", tags=["rules"], route_class=Once, responses=documented(404))
of_all = APIRouter(prefix="/rules", tags=["rules"])


@of_all.get("", name="list_all")
async def list_all(there: There, asking: Asking, asked: Asked) -> Rules:
    """The rules of all deployments of the caller's projects, in order of id."""
    return _page(there, everywhere(there, Rule, asking), asked)


@router.get("", name="list")
async def list_rules(there: There, within: Within, asked: Asked) -> Rules:
    """The rules of a deployment, in order of id."""
    return _page(there, there.records.all(Rule, lambda rule: rule.deployment == within.id), asked)


@router.post("", status_code=201, responses=documented(400, 409, 503))
async def create(there: There, records: Records, within: Within, wanted: NewRule, response: Response) -> RuleAnswer:
    """Create a rule; 400 names the place where its SQL or a template is wrong."""
    rule = create_rule(records, within, wanted, await shape_of(there.trials, wanted.sql))
    there.changed(within.id)
    tagged(response, rule)
    return _view(there, rule)


@router.post(
    "/test",
    responses=documented(400, 412, 503),
    dependencies=[Depends(deployment)],
    response_model=RuleResult,
)
async def test(there: There, sample: RuleSample) -> Response:
    """What a rule makes of a sample message; 412 NOT_MATCH where it does not take it."""
    return _json(await try_rule(there.trials, Try(sample.sql, context_text(sample.context))))


@router.get("/{rule}")
async def get(there: There, within: Within, rule: Key, response: Response) -> RuleAnswer:
    """One rule by id or name."""
    found = item(there, Rule, within, rule, "rule")
    tagged(response, found)
    return _view(there, found)


@router.put("/{rule}", responses=documented(400, 409, 412, 503))
async def replace(
    there: There,
    records: Records,
    within: Within,
    rule: Key,
    wanted: NewRule,
    response: Response,
    if_match: IfMatch = None,
) -> RuleAnswer:
    """Replace a rule; messages that wait go to its actions as they are then."""
    found = item(there, Rule, within, rule, "rule")
    check_match(found, if_match)
    return await _replaced(there, records, within, found, wanted, response)


@router.patch("/{rule}", responses=documented(400, 409, 412, 503))
async def change(
    there: There,
    records: Records,
    within: Within,
    rule: Key,
    patch: Annotated[dict[str, Any], Body(examples=[{"enable": False}])],
    response: Response,
    if_match: IfMatch = None,
) -> RuleAnswer:
    """Change some fields of a rule (RFC 7396), such as `enable`; what is left out stays."""
    found = item(there, Rule, within, rule, "rule")
    check_match(found, if_match)
    present = found.model_dump(include={"name", "sql", "actions", "enable"})
    return await _replaced(there, records, within, found, checked(NewRule, merged(present, patch)), response)


async def _replaced(
    there: Platform, records: Repository, within: Deployment, found: Rule, wanted: NewRule, response: Response
) -> RuleAnswer:
    changed = replace_rule(records, within, found, wanted, await shape_of(there.trials, wanted.sql, found.sql))
    there.changed(within.id)
    tagged(response, changed)
    return _view(there, changed)


@router.delete("/{rule}", status_code=204)
async def delete(there: There, records: Records, within: Within, rule: Key) -> None:
    """Delete a rule; messages that it already took are still written."""
    records.commit(delete=[item(there, Rule, within, rule, "rule")])
    there.changed(within.id)


@router.post("/{rule}/test", responses=documented(400, 412, 503), response_model=SampleResult)
async def test_saved(there: There, within: Within, rule: Key, sample: Sample) -> Response:
    """What a recorded rule makes of a sample message, and what its actions would send; nothing is sent."""
    found = item(there, Rule, within, rule, "rule")
    return _json(await try_saved(there.trials, there.records, within, found, sample))


@router.get("/{rule}/metrics", responses=documented(502, 503))
async def metrics(there: There, within: Within, rule: Key) -> RuleMetrics:
    """A rule's counters and those of its actions, now and every five seconds, as long as retention keeps them."""
    found = item(there, Rule, within, rule, "rule")
    past = (await there.hub.request(within.id, Past(id=0, rule=found.id))).past
    now = _view(there, found)
    return RuleMetrics(
        metrics=now.metrics,
        action_metrics=now.action_metrics,
        history=[RuleSampled(*sample) for sample in past.get("", ())],
        action_history=[
            [ActionSampled(*sample) for sample in past.get(action_id(found.id, number), ())]
            for number in range(len(found.actions))
        ],
    )


@router.post("/{rule}/metrics/reset", status_code=204, responses=documented(502, 503))
async def reset(there: There, within: Within, rule: Key) -> None:
    """Count a rule and its actions from zero."""
    await there.hub.request(within.id, Reset(id=0, rule=item(there, Rule, within, rule, "rule").id))


def _json(text: str) -> Response:
    """An answer that is JSON already."""
    return Response(text, media_type="application/json")


def _page(there: Platform, found: list[Rule], asked: Page) -> Rules:
    chosen, cursor = cut(found, asked)
    return Rules(rules=[_view(there, rule) for rule in chosen], next_cursor=cursor)


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
