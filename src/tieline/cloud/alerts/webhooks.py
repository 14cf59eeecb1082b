"""Webhooks: where alerts are sent, and the secret that proves that they are ours."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field

from tieline.cloud.guard.records import EVERY, Grant
from tieline.cloud.model.records import Name, Stored, Value


def apart(url: str) -> tuple[str, str]:
    """A URL without the credentials in it, and these as `user:password`, "" where it has none (RFC 3986, 3.2.1)."""
    parts = urlsplit(url)
    login, separator, place = parts.netloc.rpartition("@")
    return parts._replace(netloc=place).geturl() if separator else url, unquote(login)


class NewWebhook(BaseModel):
    """A webhook to create."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    projects: tuple[Name, ...] = Field(default=(), max_length=100, description="to hear of; none: all of the caller's")
    url: str = Field(
        max_length=2000,
        examples=["https://alerts.example.com/tieline"],
        description="credentials in it are kept secret, and sent as HTTP Basic authentication",
    )
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
    """The webhook as stored, its secret and the credentials of its URL encrypted."""

    kind: ClassVar[str] = "webhook"
    hidden: ClassVar[frozenset[str]] = frozenset({"secret", "login"})
    name: Name
    projects: tuple[str, ...] = (EVERY,)
    url: str
    secret: str = ""
    login: str = ""  # user:password, of which the URL had the name and the password
    created: str

    def hears_of(self, project: str) -> bool:
        """Whether it is to be told of this project."""
        return Grant(projects=self.projects).covers([project])

    def view(self) -> WebhookView:
        """The part that anybody may see."""
        shown: dict[str, Any] = self.model_dump(exclude=set(self.hidden)) | {"url": apart(self.url)[0]}
        return WebhookView(**shown, signed=bool(self.secret))
