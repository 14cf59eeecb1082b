"""Looks again and again at what changed, and sends each change to every webhook, again where one does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import httpx

from tieline.agent.protocol import Report
from tieline.base.periodic import rounds
from tieline.base.secrets import Vault
from tieline.base.servers import PORTS
from tieline.cloud.alerts.transitions import Alert, State, assumed, changes, remembered, states
from tieline.cloud.alerts.webhooks import Webhook, apart
from tieline.cloud.model.history import timestamp
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.records import Deployment, PrivateLink, Resource
from tieline.cloud.resources.addresses import check_address, networks
from tieline.cloud.store.repository import Repository
from tieline.integration.sinks.base.reach import Reach, resolved

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5  # between two looks; none is taken while there is no webhook
PAUSES = (0.5, 2.0, 8.0, 30.0)  # seconds between attempts; what fails once more is logged, and given up
TIMEOUT = httpx.Timeout(10, connect=3)
SIGNATURE = "X-Tieline-Signature"
WAITING = 1000  # deliveries under way at most: the oldest news of a storm are enough


class Watch:
    """Compares what is with what was. Changes while the platform is down are not told: nobody wrote them down.

    That a certificate ends is told to each webhook at its first look, and again after each start.
    """

    def __init__(
        self, records: Repository, vault: Vault, report: Callable[[str], Report], allowed: Sequence[str] = ()
    ) -> None:
        self._records, self._vault, self._report = records, vault, report
        self._allowed = allowed  # what webhooks may name, see addresses
        self._noted: dict[str, State] = {}
        self._known: dict[str, State] = {}  # as of the last look
        self._listening: frozenset[str] = frozenset()  # the webhooks of the last look: a new one hears from there on
        self._task: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Watch from here."""
        self._task = asyncio.create_task(self._watch(), name="alerts")

    def note(self, id: str, state: State) -> None:
        """How something is now that is in no record."""
        self._noted[id] = state

    async def close(self) -> None:
        """Watch no longer; what is being sent is given up."""
        tasks = [*self._sending, *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self) -> None:
        await asyncio.sleep(LOOK_SECONDS)  # by then agents are back, and what is in no record was noted
        await rounds("alerts", self._tell, LOOK_SECONDS)

    def _tell(self) -> None:
        webhooks = self._records.all(Webhook)
        if not webhooks:
            self._known, self._listening = {}, frozenset()
            return
        at, seen = timestamp(time.time()), remembered(self._known, self._look() | self._noted)
        news, new = changes(self._known, seen, at), any(webhook.id not in self._listening for webhook in webhooks)
        first = changes(assumed(seen), seen, at) if new else []
        for webhook in webhooks:
            for alert in news if webhook.id in self._listening else first:
                if webhook.hears_of(alert.project):
                    self._send(webhook, alert)
        self._known, self._listening = seen, frozenset(webhook.id for webhook in webhooks)

    def _look(self) -> dict[str, State]:
        deployments = self._records.all(Deployment)
        reports = {one.id: self._report(one.id) for one in deployments}
        links, resources = self._records.all(PrivateLink), self._records.all(Resource)
        return states(deployments, links, resources, reports, datetime.now(UTC))

    def _send(self, webhook: Webhook, alert: Alert) -> None:
        if len(self._sending) >= WAITING:
            log.warning("alerts: %d wait for webhooks; %s %s is not sent", WAITING, alert.kind, alert.name)
            return
        body = alert.model_dump_json().encode()
        secret = self._vault.decrypt(webhook.secret) if webhook.secret else ""
        url, login = apart(webhook.url)  # of which older records have the credentials
        login = self._vault.decrypt(webhook.login) or login
        sending = deliver(webhook.name, url, body, secret, login, self._allowed)
        task = asyncio.create_task(sending, name=f"alert {webhook.name}")
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


async def deliver(
    name: str, url: str, body: bytes, secret: str = "", login: str = "", allowed: Sequence[str] = ()
) -> None:
    """Post one alert until it is taken (2xx), at most as often as there are pauses, and once more."""
    headers = {"Content-Type": "application/json"}
    if secret:
        headers[SIGNATURE] = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    user, _, password = login.partition(":")
    auth = httpx.BasicAuth(user, password) if login else None
    trouble = ""
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, auth=auth) as client:
        for pause in (*PAUSES, None):
            trouble = await post(client, httpx.URL(url), body, headers, allowed)
            if not trouble:
                return
            if pause is not None:
                await asyncio.sleep(pause)
    log.warning("alerts: webhook %s at %s does not take alerts (%s): one is lost", name, url, trouble)


async def post(
    client: httpx.AsyncClient, url: httpx.URL, body: bytes, headers: dict[str, str], allowed: Sequence[str]
) -> str:
    """Post to the first of the addresses of the URL's host that answers; why nobody took it, "" where somebody did."""
    trouble = "its host has no address"
    named = {**headers, "Host": url.netloc.decode("ascii")}
    try:
        check_address(url.host, inside=False, allowed=allowed)  # the list may be another one by now
        found = await resolved(url.host, url.port or PORTS[url.scheme], Reach(allowed=networks(allowed)))
    except (OSError, UnicodeError, PlatformError) as error:
        return str(error)
    for address in found:
        with contextlib.suppress(httpx.HTTPError):
            trouble = "no answer"
            answer = await client.post(
                url.copy_with(host=address), content=body, headers=named, extensions={"sni_hostname": url.host}
            )
            return "" if answer.is_success else f"HTTP {answer.status_code}"
    return trouble
