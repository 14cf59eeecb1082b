"""Brings one deployment to what is wanted: look, plan, do, and write down what was seen."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tieline.base.reconciler import Reconciler
from tieline.base.secrets import Vault
from tieline.cloud.aws.client import Aws, AwsError, AwsRefused, tagged
from tieline.cloud.deployments import boot, plan
from tieline.cloud.links.states import PASSING, refusal
from tieline.cloud.model.history import timestamp
from tieline.cloud.model.records import Deployment, DeploymentStatus, MqttUser, PrivateLink, Reason, Resource, Rule
from tieline.cloud.store.repository import Repository

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, TagTypeDef

IMAGE = "local"  # the fabric's only image: this machine's own files
UNSETTLED_SECONDS = 0.3  # between two looks at a deployment that is on its way
SETTLED_SECONDS = 5.0  # between two looks at one that is as wanted
ROUNDS = 10  # plans in a row; what needs more waits for the next look
INSIDE: tuple[type[Rule] | type[Resource] | type[MqttUser], ...] = (Rule, Resource, MqttUser)
SETTLED = {DeploymentStatus.RUNNING, DeploymentStatus.STOPPED, DeploymentStatus.FAILED}


class DeploymentWorker:
    """Reconciles deployments of the provider `fabric` by id; `gone` hears of each that was removed."""

    def __init__(
        self, repository: Repository, aws: Aws, vault: Vault, machine: boot.Machine, gone: Callable[[str], None]
    ) -> None:
        self._records = repository
        self._aws = aws
        self._vault = vault
        self._machine = machine
        self._gone = gone
        self.reconciler = Reconciler("deployment", self.reconcile)

    async def reconcile(self, id: str) -> float | None:
        """Bring one deployment closer to what is wanted; the seconds until the next look, None where it is gone."""
        for _ in range(ROUNDS):
            deployment = self._records.get(Deployment, id)
            if deployment is None:
                return None
            steps = await self._steps(deployment)
            if not steps:
                waits = deployment.joined_by_hand or deployment.status in SETTLED  # for its agent, which wakes us
                return SETTLED_SECONDS if waits else UNSETTLED_SECONDS
            for step in steps:
                await self._apply(deployment, step)
        return UNSETTLED_SECONDS

    async def _steps(self, deployment: Deployment) -> tuple[plan.Step, ...]:
        links = self._links(deployment) if _leaving(deployment) else 0
        if deployment.joined_by_hand:
            return plan.plan(deployment, plan.Observed(), {}, links)
        try:
            observed = await observe(self._aws, deployment)
        except AwsError as error:
            self._explain(deployment, error)
            raise
        return plan.plan(deployment, observed, boot.tags(self._machine, deployment), links)

    def _links(self, deployment: Deployment) -> int:
        return len(self._records.all(PrivateLink, lambda link: link.deployment == deployment.id))

    async def _apply(self, deployment: Deployment, step: plan.Step) -> None:
        try:
            match step:
                case plan.Forget():
                    self._forget(deployment)
                case plan.Show():
                    self._write(deployment, lambda now: plan.shown(now, step, timestamp(time.time())))
                case plan.CreateVpc() | plan.CreateSubnet() | plan.RunInstance():
                    await self._make(deployment, step)
                case _:
                    await self._change(step)
        except AwsError as error:
            self._explain(deployment, error)
            raise

    async def _make(self, deployment: Deployment, step: plan.CreateVpc | plan.CreateSubnet | plan.RunInstance) -> None:
        tags = {boot.DEPLOYMENT_TAG: deployment.id, "Name": deployment.name}
        match step:
            case plan.CreateVpc():
                network = [tagged("vpc", tags)]
                await self._aws.ec2(lambda ec2: ec2.create_vpc(CidrBlock=deployment.cidr, TagSpecifications=network))
            case plan.CreateSubnet(vpc, subnet):
                part = [tagged("subnet", tags)]
                await self._aws.ec2(
                    lambda ec2: ec2.create_subnet(
                        VpcId=vpc, CidrBlock=subnet.cidr, AvailabilityZoneId=subnet.zone, TagSpecifications=part
                    )
                )
            case plan.RunInstance(subnet_id):
                await self._run(deployment, subnet_id)

    async def _run(self, deployment: Deployment, subnet: str) -> None:
        """Start the machine; the deployment's id as ClientToken makes a repetition after a crash harmless."""
        script = boot.user_data(self._machine, deployment, self._vault.join_token(deployment.id))
        tags = [tagged("instance", boot.tags(self._machine, deployment))]
        await self._aws.ec2(
            lambda ec2: ec2.run_instances(
                ImageId=IMAGE,
                MinCount=1,
                MaxCount=1,
                SubnetId=subnet,
                UserData=script,
                ClientToken=deployment.id,
                TagSpecifications=tags,
            )
        )

    async def _change(self, step: plan.Step) -> None:
        match step:
            case plan.Retag(instance, tags):
                pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
                await self._aws.ec2(lambda ec2: ec2.create_tags(Resources=[instance], Tags=pairs))  # type: ignore[arg-type]
            case plan.Terminate(instance):
                await self._aws.ec2(lambda ec2: ec2.terminate_instances(InstanceIds=[instance]))
                await asyncio.sleep(UNSETTLED_SECONDS)
            case plan.DeleteSubnet(subnet):
                await self._aws.ec2(lambda ec2: ec2.delete_subnet(SubnetId=subnet))
            case plan.DeleteVpc(vpc):
                await self._aws.ec2(lambda ec2: ec2.delete_vpc(VpcId=vpc))

    def _explain(self, deployment: Deployment, error: AwsError) -> None:
        """Say on a record that is on its way why nothing moves, and whether that is final."""
        reason = refusal(error.code, error.message) if isinstance(error, AwsRefused) else Reason.AWS_UNREACHABLE
        if reason not in plan.HINTS:
            reason = Reason.AWS_REFUSED
        if deployment.status is DeploymentStatus.CREATING:
            final = reason not in PASSING
            show = plan.Show(DeploymentStatus.FAILED if final else DeploymentStatus.CREATING, reason, str(error))
            self._write(deployment, lambda now: plan.shown(now, show, timestamp(time.time())))
        elif _leaving(deployment):
            said = {"reason": reason, "hint": plan.HINTS[reason].format(cause=error, vpc="", instance="")}
            self._records.update(Deployment, deployment.id, lambda now: now.model_copy(update=said))

    def _write(self, seen: Deployment, change: Callable[[Deployment], Deployment]) -> None:
        """Write what was seen, unless the deployment was asked for something else meanwhile: it is looked at again."""
        self._records.update(Deployment, seen.id, lambda now: change(now) if _asked(now) == _asked(seen) else now)

    def _forget(self, deployment: Deployment) -> None:
        """Remove the record, and what somebody put into the deployment after its end was asked for."""
        present = self._records.get(Deployment, deployment.id)
        if present:
            left = [one for type in INSIDE for one in self._records.all(type) if one.deployment == present.id]
            self._records.commit(delete=[*left, present])
        shutil.rmtree(self._machine.state / deployment.id, ignore_errors=True)
        self._gone(deployment.id)


async def observe(aws: Aws, deployment: Deployment) -> plan.Observed:
    """What AWS shows of a deployment, found by its tag; raises AwsError where it does not tell."""
    mine: list[FilterTypeDef] = [{"Name": f"tag:{boot.DEPLOYMENT_TAG}", "Values": [deployment.id]}]
    vpcs = await aws.ec2(lambda ec2: ec2.describe_vpcs(Filters=mine))
    subnets = await aws.ec2(lambda ec2: ec2.describe_subnets(Filters=mine))
    answer = await aws.ec2(lambda ec2: ec2.describe_instances(Filters=mine))
    machines = [
        plan.Instance(item["InstanceId"], item["State"]["Name"], _tags(item.get("Tags", [])))
        for reservation in answer["Reservations"]
        for item in reservation["Instances"]
    ]
    return plan.Observed(
        vpc=vpcs["Vpcs"][0]["VpcId"] if vpcs["Vpcs"] else "",
        subnets={item["AvailabilityZoneId"]: item["SubnetId"] for item in subnets["Subnets"]},
        instance=min(machines, key=lambda machine: machine.state in plan.ENDED, default=None),
    )


def _tags(items: Sequence[TagTypeDef]) -> dict[str, str]:
    return {item["Key"]: item["Value"] for item in items}


def _asked(deployment: Deployment) -> tuple[object, ...]:
    """What a judgement of a deployment's status rests on, beside AWS."""
    return _leaving(deployment), deployment.wanted, deployment.joined, deployment.halted


def _leaving(deployment: Deployment) -> bool:
    return deployment.status is DeploymentStatus.DELETING
