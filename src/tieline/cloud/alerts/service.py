"""What people ask of webhooks: create one for the own projects."""

from __future__ import annotations

import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from tieline.base.secrets import Vault, new_id
from tieline.cloud.alerts.webhooks import NewWebhook, Webhook, apart
from tieline.cloud.guard.records import Caller
from tieline.cloud.guard.service import granted
from tieline.cloud.model.history import timestamp
from tieline.cloud.model.problems import PlatformError, name_taken
from tieline.cloud.resources.addresses import check_address
from tieline.cloud.store.repository import Repository


def create_webhook(
    records: Repository, vault: Vault, caller: Caller, wanted: NewWebhook, allowed: Sequence[str]
) -> Webhook:
    """Record a webhook at an address that the operator allows; raises PlatformError with nothing changed."""
    projects = granted(caller, caller.grant.role, wanted.projects).projects
    url, login = apart(wanted.url)
    check_address(_host(url), inside=False, allowed=allowed)
    if records.all(Webhook, lambda one: one.name == wanted.name):
        raise name_taken("webhook", wanted.name)
    webhook = Webhook(
        id=new_id("hook"),
        name=wanted.name,
        projects=projects,
        url=url,
        login=vault.encrypt(login),
        secret=vault.encrypt(wanted.secret) if wanted.secret else "",
        created=timestamp(time.time()),
    )
    records.commit(write=[webhook])
    return webhook


def _host(url: str) -> str:
    """The host of a web server's URL; raises PlatformError, which shows no credentials."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        message = f"{url!r} is no URL of a web server"
        raise PlatformError(422, "INVALID_URL", message, "for example https://alerts.example.com/tieline")
    return host
