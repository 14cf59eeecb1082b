"""REST: the webhooks that hear of changes."""

from __future__ import annotations

from fastapi import APIRouter

from tieline.cloud.alerts.webhooks import NewWebhook, Webhook, Webhooks, WebhookView, create_webhook
from tieline.cloud.api.context import Key, Records, There
from tieline.cloud.api.errors import documented
from tieline.cloud.problems import not_found

router = APIRouter(prefix="/alerts", tags=["alerts"])


@router.get("", name="list")
async def list_alerts(there: There) -> Webhooks:
    """All webhooks, in order of id."""
    return Webhooks(alerts=[webhook.view() for webhook in there.records.all(Webhook)])


@router.post("", status_code=201, responses=documented(400, 409))
async def create(there: There, records: Records, wanted: NewWebhook) -> WebhookView:
    """Send alerts to a webhook: each is a POST of JSON with kind, deployment, name, before, after, reason, hint, at."""
    return create_webhook(records, there.vault, wanted).view()


@router.delete("/{alert}", status_code=204, responses=documented(404))
async def delete(records: Records, alert: Key) -> None:
    """Send no more alerts to a webhook, by id or name."""
    found = records.all(Webhook, lambda one: alert in (one.id, one.name))
    if not found:
        raise not_found("webhook", alert)
    records.commit(delete=found[:1])
