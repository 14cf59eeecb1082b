"""What to do next about a deployment: pure, from the record and from what AWS shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tieline.cloud.model.history import remembered
from tieline.cloud.model.records import Deployment, DeploymentStatus, Reason, Subnet

# EC2's instance states to ours; a running instance is `creating` until its agent reported a working broker.
INSTANCE_STATES: Mapping[str, tuple[DeploymentStatus, Reason | None]] = {
    "pending": (DeploymentStatus.CREATING, None),
    "running": (DeploymentStatus.RUNNING, None),
    "stopping": (DeploymentStatus.STOPPED, None),
    "stopped": (DeploymentStatus.STOPPED, None),
    "shutting-down": (DeploymentStatus.FAILED, Reason.INSTANCE_ENDED),
    "terminated": (DeploymentStatus.FAILED, Reason.INSTANCE_ENDED),
}
HINTS: Mapping[Reason, str] = {
    Reason.INSTANCE_ENDED: "the instance ended; its console output says why: aws ec2 get-console-output "
    "--instance-id {instance}; then delete this deployment and create it again",
    Reason.NETWORK_REMOVED: "somebody removed {vpc} outside the platform: delete this deployment and create it again",
    Reason.AWS_REFUSED: "AWS refused: {cause}; delete this deployment and create it again",
    Reason.CREDENTIALS: "the platform's AWS credentials were refused ({cause}): its operator checks --credentials, "
    "--profile and the clock; the platform tries again by itself",
    Reason.QUOTA: "a limit of the AWS account is reached ({cause}): ask AWS for more, delete this deployment, "
    "and create it again",
    Reason.AWS_UNREACHABLE: "AWS does not answer ({cause}): the platform's operator checks --aws-endpoint; the "
    "platform tries again by itself",
}
ENDED = {"terminated"}
ENDING = {"shutting-down", "terminated"}


@dataclass(frozen=True)
class Instance:
    """The deployment's machine as EC2 shows it."""

    id: str
    state: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Observed:
    """What AWS shows of one deployment; `subnets` are ids by zone id."""

    vpc: str = ""
    subnets: Mapping[str, str] = field(default_factory=dict)
    instance: Instance | None = None


@dataclass(frozen=True)
class CreateVpc:
    """Make the network."""


@dataclass(frozen=True)
class CreateSubnet:
    """Make one subnet in the network."""

    vpc: str
    subnet: Subnet


@dataclass(frozen=True)
class RunInstance:
    """Start the machine in a subnet."""

    subnet: str


@dataclass(frozen=True)
class Retag:
    """The passages of a running machine have moved."""

    instance: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Terminate:
    """End the machine."""

    instance: str


@dataclass(frozen=True)
class DeleteSubnet:
    """Remove one subnet."""

    subnet: str


@dataclass(frozen=True)
class DeleteVpc:
    """Remove the network."""

    vpc: str


@dataclass(frozen=True)
class Forget:
    """Nothing is left on AWS: remove the record."""


@dataclass(frozen=True)
class Show:
    """What the record should say now."""

    status: DeploymentStatus
    reason: Reason | None = None
    cause: str = ""
    seen: Observed | None = None


Step = CreateVpc | CreateSubnet | RunInstance | Retag | Terminate | DeleteSubnet | DeleteVpc | Forget | Show


def plan(deployment: Deployment, observed: Observed, tags: Mapping[str, str], links: int) -> tuple[Step, ...]:
    """The steps that bring a deployment closer to what is wanted; `links` of it still have to go before its network."""
    if deployment.status is DeploymentStatus.DELETING:
        return _unmake(observed, links)
    if deployment.joined_by_hand:
        return _difference(deployment, Show(_switched(deployment)))
    if deployment.status is DeploymentStatus.FAILED and not deployment.instance:
        return ()
    if not observed.vpc:
        return _difference(deployment, _lost(Reason.NETWORK_REMOVED)) if deployment.vpc else (CreateVpc(),)
    missing = [subnet for subnet in deployment.subnets if subnet.zone not in observed.subnets]
    if missing:
        return tuple(CreateSubnet(observed.vpc, subnet) for subnet in missing)
    if observed.instance is None:
        if deployment.instance:
            return _difference(deployment, _lost(Reason.INSTANCE_ENDED))
        return (RunInstance(observed.subnets[deployment.subnets[0].zone]),)
    return _running(deployment, observed, observed.instance, tags)


def shown(deployment: Deployment, show: Show, at: str) -> Deployment:
    """The record after `show`; a change of status or reason enters its history."""
    seen = show.seen or Observed()
    vpc, instance = seen.vpc or deployment.vpc, seen.instance.id if seen.instance else deployment.instance
    hint = HINTS[show.reason].format(vpc=vpc, instance=instance, cause=show.cause) if show.reason else ""
    subnets = tuple(
        subnet.model_copy(update={"id": seen.subnets.get(subnet.zone, subnet.id)}) for subnet in deployment.subnets
    )
    said = {"status": show.status, "reason": show.reason, "hint": hint}
    changed = deployment.model_copy(update={**said, "vpc": vpc, "subnets": subnets, "instance": instance})
    if (changed.status, changed.reason) == (deployment.status, deployment.reason):
        return changed
    return remembered(changed, at, "platform", " ".join(filter(None, (changed.status, changed.reason))))


def _lost(reason: Reason) -> Show:
    return Show(DeploymentStatus.FAILED, reason)


def _running(
    deployment: Deployment, observed: Observed, instance: Instance, tags: Mapping[str, str]
) -> tuple[Step, ...]:
    status, reason = INSTANCE_STATES.get(instance.state, (DeploymentStatus.CREATING, None))
    if status is DeploymentStatus.RUNNING:
        status = _switched(deployment)
    steps = _difference(deployment, Show(status, reason, "", observed))
    if instance.state not in ENDING and any(instance.tags.get(key) != value for key, value in tags.items()):
        return (*steps, Retag(instance.id, tags))
    return steps


def _switched(deployment: Deployment) -> DeploymentStatus:
    """What a machine that runs makes of its deployment, by what its agent reported since it was last asked."""
    if deployment.wanted == "running":
        return DeploymentStatus.RUNNING if deployment.joined else DeploymentStatus.CREATING
    return DeploymentStatus.STOPPED if deployment.halted else DeploymentStatus.STOPPING


def _unmake(observed: Observed, links: int) -> tuple[Step, ...]:
    if links:
        return ()
    instance = observed.instance
    if instance and instance.state not in ENDED:
        return () if instance.state in ENDING else (Terminate(instance.id),)
    if observed.subnets:
        return tuple(DeleteSubnet(subnet) for _, subnet in sorted(observed.subnets.items()))
    return (DeleteVpc(observed.vpc),) if observed.vpc else (Forget(),)


def _difference(deployment: Deployment, show: Show) -> tuple[Step, ...]:
    """The step, where the record does not say so already."""
    return () if shown(deployment, show, "") == deployment else (show,)
