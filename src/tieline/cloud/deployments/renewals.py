"""Renews the certificates that the platform made for brokers, and warns of the end of those that it cannot renew."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from tieline.base.periodic import rounds
from tieline.base.secrets import Vault
from tieline.cloud.deployments.listeners import certificate, certified
from tieline.cloud.model.history import remembered, timestamp
from tieline.cloud.model.records import Deployment, DeploymentStatus
from tieline.cloud.store.repository import Repository
from tieline.cloud.tls.certificates import Renewal, Validity, renewal, renewed, validity

log = logging.getLogger(__name__)

LOOK_SECONDS = 3600.0  # between two looks: a certificate is due for months, and a warning is for two weeks
WHO = "platform"  # in histories
REPLACE = "replace it: tieline deployment change {name} --chain FILE --key FILE"


def tls_validity(deployment: Deployment) -> Validity | None:
    """The validity of the certificate of a deployment's TLS listener; None where it has no such listener."""
    if deployment.mqtts is None or not deployment.certificate:
        return None
    return validity(deployment.certificate, deployment.authority, ours=bool(deployment.authority_key))


class Warnings:
    """Says in the log that a certificate ends: once a day for each."""

    def __init__(self) -> None:
        self._said: set[tuple[str, str]] = set()

    def ending(self, what: str, ends: datetime, now: datetime, hint: str) -> None:
        """Warn, unless it was said today."""
        today = now.date().isoformat()
        self._said = {(name, day) for name, day in self._said if day == today}
        if (what, today) in self._said:
            return
        self._said.add((what, today))
        verb = "ended" if now >= ends else "ends"
        log.warning("the certificate of %s %s on %s; %s", what, verb, ends.strftime("%Y-%m-%d %H:%M UTC"), hint)


class Renewals:
    """Looks at every deployment's certificate again and again; `changed` hears of each deployment with another one."""

    def __init__(
        self,
        records: Repository,
        vault: Vault,
        changed: Callable[[str], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._records, self._vault, self._changed, self._clock = records, vault, changed, clock
        self._warnings = Warnings()

    async def run(self) -> None:
        """Look at once, and then for ever."""
        await rounds("renewals", self.look, LOOK_SECONDS)

    def look(self) -> None:
        """Renew what is due, and warn of what nobody here can renew; a deployment that fails stops no other."""
        now = self._clock()
        for deployment in self._records.all(Deployment):
            try:
                self._tend(deployment, now)
            except Exception:
                log.exception("the certificate of %s: this look failed, another follows", deployment.name)

    def _tend(self, deployment: Deployment, now: datetime) -> None:
        found = tls_validity(deployment)
        if found is None or deployment.status is DeploymentStatus.DELETING:
            return
        match renewal(found, now):
            case Renewal.DUE:
                self._renew(deployment, now)
            case Renewal.ENDING | Renewal.ENDED:
                what, hint = f"deployment {deployment.name}", REPLACE.format(name=deployment.name)
                self._warnings.ending(what, found.ends, now, hint)

    def _renew(self, deployment: Deployment, now: datetime) -> None:
        """Another certificate, unless somebody brought one meanwhile."""
        other = certified(self._vault, deployment, renewed(certificate(self._vault, deployment), now))
        fields = {name: getattr(other, name) for name in ("certificate", "tls_key")}

        def change(present: Deployment) -> Deployment:
            if present.certificate != deployment.certificate:
                return present
            said = remembered(present, timestamp(now.timestamp()), WHO, "certificate renewed")
            return said.model_copy(update=fields)

        self._records.update(Deployment, deployment.id, change)
        self._changed(deployment.id)
        log.info("the certificate of deployment %s was renewed, by the same authority", deployment.name)
