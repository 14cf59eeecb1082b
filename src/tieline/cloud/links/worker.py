"""Brings one link to what is wanted: look, plan, do, and write down what was seen."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable

from tieline.base.reconciler import Reconciler
from tieline.cloud.aws.accounts import Accounts
from tieline.cloud.aws.client import Aws, AwsError, AwsRefused, tagged
from tieline.cloud.links import states
from tieline.cloud.links.observe import LINK_TAG, observe
from tieline.cloud.links.plan import Create, Delete, Forget, Show, Step, plan, shown
from tieline.cloud.links.reconnect import client_token, delete_endpoint
from tieline.cloud.links.sweep import Sweep
from tieline.cloud.model.history import moment, timestamp
from tieline.cloud.model.records import Deployment, LinkStatus, PrivateLink, Reason
from tieline.cloud.store.repository import Repository

log = logging.getLogger(__name__)

UNSETTLED_SECONDS = 0.5  # between two looks at a link that is on its way
LAST_FAILED_SECONDS = 60.0  # a failed link is looked at ever more seldom: its service may be removed, too
ROUNDS = 10  # plans in a row; what needs more waits for the next look


class LinkWorker:
    """Reconciles links by id. `changed` hears the deployment's id when a link's address or status changed."""

    def __init__(self, repository: Repository, accounts: Accounts, changed: Callable[[str], None]) -> None:
        self._records = repository
        self._accounts = accounts
        self._changed = changed
        self.reconciler = Reconciler("link", self.reconcile, self._lane)
        self.sweep = Sweep(self._by_account, self.reconciler.wake)

    def start(self) -> None:
        """Take up every link that is on its way; the sweep finds those that changed while nobody looked."""
        for link in self._records.all(PrivateLink, lambda link: not _settled(link)):
            self.reconciler.wake(link.id)

    def _by_account(self) -> dict[Aws, list[PrivateLink]]:
        accounts = {one.id: self._accounts.of(one.aws) for one in self._records.all(Deployment)}
        found: dict[Aws, list[PrivateLink]] = defaultdict(list)
        for link in self._records.all(PrivateLink, lambda link: bool(link.endpoint)):
            found[accounts.get(link.deployment, self._accounts.own)].append(link)
        return found

    def _aws(self, link: PrivateLink) -> Aws:
        """The account that the link's endpoint is in."""
        deployment = self._records.get(Deployment, link.deployment)
        return self._accounts.of(deployment.aws if deployment else None)

    def _lane(self, id: str) -> Aws | None:
        link = self._records.get(PrivateLink, id)
        return self._aws(link) if link else None

    async def reconcile(self, id: str) -> float | None:
        """Bring one link closer to what is wanted; the seconds until the next look, None where the sweep suffices."""
        for _ in range(ROUNDS):
            link = self._records.get(PrivateLink, id)
            if link is None:
                return None
            steps = await self._steps(link)
            if not steps:
                return _pause(link)
            for step in steps:
                await self._apply(link, step)
            if any(isinstance(step, Delete) for step in steps):
                break  # AWS takes its time
        return UNSETTLED_SECONDS

    async def _steps(self, link: PrivateLink) -> tuple[Step, ...]:
        deployment = self._records.get(Deployment, link.deployment)
        subnets = deployment.subnets if deployment else ()
        try:
            observed = await observe(self._aws(link), link, subnets)
        except AwsError as error:
            await self._explain(link, error)
            raise
        return plan(link, subnets, observed, time.time())

    async def _apply(self, link: PrivateLink, step: Step) -> None:
        try:
            match step:
                case Create():
                    await self._create(link, step)
                case Delete():
                    await delete_endpoint(self._aws(link), step.endpoint)
                case Forget():
                    self._forget(link)
                case Show():
                    await self._show(link, step)
        except AwsError as error:
            await self._explain(link, error)
            raise

    async def _create(self, link: PrivateLink, step: Create) -> None:
        """Ask for the endpoint; the ClientToken makes a repetition after a crash harmless."""
        deployment = self._records.get(Deployment, link.deployment)
        if deployment is None:
            return
        sent = self._records.update(PrivateLink, link.id, lambda now: now.model_copy(update={"sent": time.time()}))
        if sent is None or sent.status is LinkStatus.DELETING:
            return
        try:
            endpoint = await self._send(link, deployment, step.subnets)
        except AwsRefused as error:
            reason = states.refusal(error.code, error.message)
            if reason in states.PASSING:
                raise
            await self._show(sent, Show(LinkStatus.FAILED, reason, str(error)))
            return
        made = {"endpoint": endpoint, "zones": step.zones}
        self._records.update(PrivateLink, link.id, lambda now: now.model_copy(update=made))

    async def _send(self, link: PrivateLink, deployment: Deployment, subnets: tuple[str, ...]) -> str:
        groups = deployment.aws.security_groups if deployment.aws else ()
        answer = await self._aws(link).ec2(
            lambda ec2: ec2.create_vpc_endpoint(
                VpcEndpointType="Interface",
                VpcId=deployment.vpc,
                ServiceName=link.service_name,
                SubnetIds=list(subnets),
                SecurityGroupIds=list(groups),
                ClientToken=client_token(link),
                PrivateDnsEnabled=False,
                TagSpecifications=[tagged("vpc-endpoint", {LINK_TAG: link.id, "Name": link.name})],
            )
        )
        return answer["VpcEndpoint"]["VpcEndpointId"]

    async def _show(self, link: PrivateLink, show: Show) -> None:
        principal = (await self._aws(link).identity()).principal
        at = timestamp(time.time())
        self._write(link, lambda now: shown(now, show, principal, at))

    async def _explain(self, link: PrivateLink, error: AwsError) -> None:
        """Say on a record that is on its way why nothing moves; the status stays, for the next try may succeed."""
        reason = Reason.AWS_UNREACHABLE
        if isinstance(error, AwsRefused):
            reason = states.refusal(error.code, error.message)
        hint = states.hint(reason, service_name=link.service_name, endpoint=link.endpoint, principal="the platform")
        said = {"reason": reason, "hint": hint, "cause": str(error)}
        if link.status not in (LinkStatus.RUNNING, LinkStatus.FAILED):
            self._records.update(PrivateLink, link.id, lambda now: now.model_copy(update=said))

    def _write(self, seen: PrivateLink, change: Callable[[PrivateLink], PrivateLink]) -> None:
        """Write what was seen, unless the link was changed meanwhile: then it is looked at again.

        A reconnection would else be lost to what was seen of the endpoint before it.
        """
        after = self._records.update(
            PrivateLink, seen.id, lambda now: change(now) if now.version == seen.version else now
        )
        if after and (seen.status, seen.address) != (after.status, after.address):
            self._changed(after.deployment)

    def _forget(self, link: PrivateLink) -> None:
        self._records.commit(delete=[link])
        self._changed(link.deployment)


def _settled(link: PrivateLink) -> bool:
    """Whether only a change of its endpoint can change the link."""
    return link.status is LinkStatus.RUNNING and bool(link.endpoint)


def _pause(link: PrivateLink) -> float | None:
    if link.status is LinkStatus.RUNNING:
        return None
    if link.status is LinkStatus.FAILED:
        return _failed_pause(link, time.time()) if link.endpoint else None
    return UNSETTLED_SECONDS


def _failed_pause(link: PrivateLink, now: float) -> float:
    """Half of the time that it has failed for."""
    since = moment(link.history[-1].at) if link.history else now
    return min(max((now - since) / 2, UNSETTLED_SECONDS), LAST_FAILED_SECONDS)
