"""REST: the webhooks that hear of changes."""

from __future__ import annotations

from fastapi import APIRouter

from tieline.cloud.alerts.service import create_webhook
from tieline.cloud.alerts.webhooks import NewWebhook, Webhook, Webhooks, WebhookView
from tieline.cloud.api.common.context import Asking, Key, Records, There
from tieline.cloud.api.common.errors import documented
from tieline.cloud.model.problems import not_found

router = APIRouter(prefix="/alerts", tags=["alerts"])


@router.get("", name="list")
async def list_alerts(there: There, asking: Asking) -> Webhooks:
    """The webhooks for the caller's projects, in order of id."""
    found = there.records.all(Webhook, lambda one: asking.grant.covers(one.projects))
    return Webhooks(alerts=[webhook.view() for webhook in found])


@router.post("", status_code=201, responses=documented(400, 409))
async def create(there: There, records: Records, asking: Asking, wanted: NewWebhook) -> WebhookView:
    """Send alerts to a webhook: each is a POST of JSON with kind, project, deployment, name, before, after

    and reason, hint, at."""
    return create_webhook(records, there.vault, asking, wanted, there.allowed).view()


@router.delete("/{alert}", status_code=204, responses=documented(404))
async def delete(records: Records, asking: Asking, alert: Key) -> None:
    """Send no more alerts to a webhook, by id or name."""
    found = records.all(Webhook, lambda one: alert in (one.id, one.name) and asking.grant.covers(one.projects))
    if not found:
        raise not_found("webhook", alert)
    records.commit(delete=found[:1])
