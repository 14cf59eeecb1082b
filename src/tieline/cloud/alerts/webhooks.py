"""Webhooks: where alerts are sent, and the secret that proves that they are ours."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from tieline.cloud.guard.records import EVERY, Grant
from tieline.cloud.records import Name, Stored, Value


class NewWebhook(BaseModel):
    """A webhook to create."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    projects: tuple[Name, ...] = Field(default=(), max_length=100, description="to hear of; none: all of the caller's")
    url: str = Field(max_length=2000, examples=["https://alerts.example.com/tieline"])
    secret: str = Field(
        default="", max_length=200, description="signs each alert: X-Tieline-Signature, HMAC-SHA256 of the body in hex"
    )


class WebhookView(Value):
    """A webhook without its secret."""

    id: str
    name: Name
    projects: tuple[str, ...] = Field(default=(EVERY,), description="* for all")
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
    projects: tuple[str, ...] = (EVERY,)
    url: str
    secret: str = ""
    created: str

    def hears_of(self, project: str) -> bool:
        """Whether it is to be told of this project."""
        return Grant(projects=self.projects).covers([project])

    def view(self) -> WebhookView:
        """The part that anybody may see."""
        shown: dict[str, Any] = self.model_dump(exclude={"secret"})
        return WebhookView(**shown, signed=bool(self.secret))
