"""Webhooks: where alerts are sent, and the secret that proves that they are ours."""

from __future__ import annotations

import time
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from tieline.cloud.history import timestamp
from tieline.cloud.problems import PlatformError, name_taken
from tieline.cloud.records import Name, Stored, Value
from tieline.cloud.repository import Repository
from tieline.cloud.secrets import Vault, new_id


class NewWebhook(BaseModel):
    """A webhook to create."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    url: str = Field(max_length=2000, examples=["https://alerts.example.com/tieline"])
    secret: str = Field(
        default="", max_length=200, description="signs each alert: X-Tieline-Signature, HMAC-SHA256 of the body in hex"
    )


class WebhookView(Value):
    """A webhook without its secret."""

    id: str
    name: Name
    url: str
    signed: bool
    created: str


class Webhooks(BaseModel):
    """All webhooks."""

    alerts: list[WebhookView]


class Webhook(Stored):
    """The webhook as stored, its secret encrypted."""

    kind: ClassVar[str] = "webhook"
    hidden: ClassVar[frozenset[str]] = frozenset({"secret"})
    name: Name
    url: str
    secret: str = ""
    created: str

    def view(self) -> WebhookView:
        """The part that anybody may see."""
        shown: dict[str, Any] = self.model_dump(exclude={"secret"})
        return WebhookView(**shown, signed=bool(self.secret))


def create_webhook(records: Repository, vault: Vault, wanted: NewWebhook) -> Webhook:
    """Record a webhook; raises PlatformError with nothing changed."""
    parts = urlsplit(wanted.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        message = f"{wanted.url!r} is no URL of a web server"
        raise PlatformError(422, "INVALID_URL", message, "for example https://alerts.example.com/tieline")
    if records.all(Webhook, lambda one: one.name == wanted.name):
        raise name_taken("webhook", wanted.name)
    webhook = Webhook(
        id=new_id("hook"),
        name=wanted.name,
        url=wanted.url,
        secret=vault.encrypt(wanted.secret) if wanted.secret else "",
        created=timestamp(time.time()),
    )
    records.commit(write=[webhook])
    return webhook
