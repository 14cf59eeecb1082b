"""Looks again and again at what changed, and sends each change to every webhook, again where one does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

import httpx

from tieline.cloud.alerts.transitions import Alert, State, assumed, changes, remembered, states
from tieline.cloud.alerts.webhooks import Webhook
from tieline.cloud.history import timestamp
from tieline.cloud.protocol import Report
from tieline.cloud.records import Deployment, PrivateLink, Resource
from tieline.cloud.repository import Repository
from tieline.cloud.rounds import rounds
from tieline.cloud.secrets import Vault

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

    def __init__(self, records: Repository, vault: Vault, report: Callable[[str], Report]) -> None:
        self._records, self._vault, self._report = records, vault, report
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
        task = asyncio.create_task(deliver(webhook, body, secret), name=f"alert {webhook.name}")
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)


async def deliver(webhook: Webhook, body: bytes, secret: str) -> None:
    """Post one alert until it is taken (2xx), at most as often as there are pauses, and once more."""
    headers = {"Content-Type": "application/json"}
    if secret:
        headers[SIGNATURE] = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    trouble = ""
    async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False) as client:
        for pause in (*PAUSES, None):
            with contextlib.suppress(httpx.HTTPError):
                trouble = "no answer"
                answer = await client.post(webhook.url, content=body, headers=headers)
                if answer.is_success:
                    return
                trouble = f"HTTP {answer.status_code}"
            if pause is not None:
                await asyncio.sleep(pause)
    log.warning("alerts: webhook %s at %s does not take alerts (%s): one is lost", webhook.name, webhook.url, trouble)
