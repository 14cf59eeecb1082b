"""The platform as one object: its records, its hands on AWS, its agents, and the reconcilers between them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from tieline.agent.protocol import Configure, Report
from tieline.base.secrets import Vault, matches, token_deployment
from tieline.cloud.agents import opened
from tieline.cloud.agents.agent_registry import Hub
from tieline.cloud.agents.configuration import configure
from tieline.cloud.agents.traffic import TrafficLog
from tieline.cloud.alerts.watch import Watch
from tieline.cloud.aws.accounts import Accounts
from tieline.cloud.deployments.boot import Machine
from tieline.cloud.deployments.renewals import Renewals
from tieline.cloud.deployments.worker import DeploymentWorker
from tieline.cloud.guard.identify import Doorkeeper
from tieline.cloud.guard.limits import Untold
from tieline.cloud.guard.records import ApiKey, Grant
from tieline.cloud.guard.roles import Role
from tieline.cloud.guard.service import Entrance, record_key
from tieline.cloud.links.worker import LinkWorker
from tieline.cloud.model.history import timestamp
from tieline.cloud.model.records import Deployment, DeploymentStatus
from tieline.cloud.rules.trials import Trials
from tieline.cloud.store.housekeeping import Housekeeping
from tieline.cloud.store.idempotency import Idempotency
from tieline.cloud.store.last_change import find_noted
from tieline.cloud.store.repository import Repository
from tieline.cloud.store.retention import RetentionView

log = logging.getLogger(__name__)

UNHEARD_SECONDS = 60.0  # between two entries in the audit log of one source's logins that were not heard
FIRST_KEY = "admin"  # the name of the key that the first start makes


class Platform:
    """Everything that REST operations work on. Used from one event loop, as the store is."""

    def __init__(
        self, records: Repository, accounts: Accounts, vault: Vault, machine: Machine, allowed: Sequence[str] = ()
    ) -> None:
        self.records = records
        self.accounts = accounts
        self.vault = vault
        self.allowed = allowed  # what resources may name besides links, see addresses
        self.doorkeeper = Doorkeeper(records)
        self.entrance = Entrance(records)
        self.unheard = Untold(UNHEARD_SECONDS)
        self.idempotency = Idempotency(records, vault)
        self.pulse = records.pulse
        self.hub = Hub(self._configuration, self._reported, self.pulse.beat)
        self.links = LinkWorker(records, accounts, self.changed)
        self.deployments = DeploymentWorker(records, accounts.own, vault, machine, self.hub.push)
        self.alerts = Watch(records, vault, self.hub.report, allowed)
        self.traffic = TrafficLog(lambda: 60.0 * records.retention().traffic_minutes)
        self.housekeeping = Housekeeping(records)
        self.renewals = Renewals(records, vault, self.changed)
        self.trials = Trials()
        self._rounds: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Take up everything where it was left."""
        opened.tell(self.records)
        self.links.start()
        for deployment in self.records.all(Deployment):
            self.deployments.reconciler.wake(deployment.id)
        self._rounds = [
            asyncio.create_task(self.links.sweep.run(), name="sweep"),
            asyncio.create_task(self.renewals.run(), name="renewals"),
            asyncio.create_task(self.housekeeping.run(), name="housekeeping"),
            asyncio.create_task(find_noted(self.records), name="last changes"),
        ]
        self.alerts.start()

    async def close(self) -> None:
        """Stop working; nothing on AWS changes by that."""
        for task in self._rounds:
            task.cancel()
        await asyncio.gather(*self._rounds, return_exceptions=True)
        await self.alerts.close()
        await self.links.reconciler.close()
        await self.deployments.reconciler.close()
        await self.hub.close()
        await self.trials.close()
        self.accounts.close()
        self.records.close()

    def changed(self, *deployments: str) -> None:
        """Something that agents of these must know is different now; what waits for them is looked at again."""
        known = [found for id in deployments if (found := self.records.get(Deployment, id))]
        self.records.commit(write=[one.model_copy(update={"revision": one.revision + 1}) for one in known])
        for id in deployments:
            self.hub.push(id)
            self.deployments.reconciler.wake(id)

    def retained(self, before: RetentionView, after: RetentionView) -> None:
        """Retention was changed: less is kept from now on, and agents hear of what is kept with them."""
        self.housekeeping.wake()
        if before.metrics_minutes != after.metrics_minutes:
            self.changed(*(deployment.id for deployment in self.records.all(Deployment)))

    def admit(self, token: str) -> Deployment | None:
        """The one deployment that a join token is good for; None where it is good for none."""
        deployment = self.records.get(Deployment, token_deployment(token))
        if deployment is None or deployment.status is DeploymentStatus.DELETING:
            return None
        return deployment if matches(token, deployment.token_hash) else None

    def first_key(self) -> str | None:
        """A first API key where there is none yet: shown once, stored as its hash."""
        if self.records.all(ApiKey):
            return None
        _, token = record_key(self.records, FIRST_KEY, Grant(role=Role.ADMINISTRATOR), timestamp(time.time()))
        return token

    def _configuration(self, deployment: str) -> Configure | None:
        found = self.records.get(Deployment, deployment)
        if found is None or found.status is DeploymentStatus.DELETING:
            return None
        return configure(self.records, self.vault, found, self.allowed)

    def _reported(self, deployment: str, report: Report) -> None:
        """What an agent reports decides whether its deployment is `running` or `stopped`."""
        found = self.records.get(Deployment, deployment)
        if found is None:
            return
        self.traffic.note(deployment, time.time(), self.hub.report(deployment).traffic)
        running = found.wanted == "running"
        news = {"joined": found.joined or (running and report.broker and not report.stopped)}
        news["halted"] = found.halted or (not running and report.stopped)
        if (found.joined, found.halted) != (news["joined"], news["halted"]):
            self.records.update(Deployment, deployment, lambda now: now.model_copy(update=news))
            self.deployments.reconciler.wake(deployment)
