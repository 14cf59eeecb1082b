"""The provider's half as two verbs: expose what is wanted, step by step, and take an exposure back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from tieline.client.connect.perform import perform
from tieline.client.connect.plan import Step, plan
from tieline.client.provider.account import Seen, Service
from tieline.client.provider.consent import connections, reject
from tieline.client.provider.exposure import Exposure, balancer_name
from tieline.client.provider.observe import observe
from tieline.cloud.aws.client import Aws, AwsRefused
from tieline.cloud.model.problems import PlatformError

ROUNDS = 3  # looks at the account: one is enough unless somebody else works on it at the same time
RELEASE_SECONDS = 60.0  # for AWS to notice that what used a thing is gone
PAUSE_SECONDS = 0.5
STILL_USED = {"ResourceInUse", "ExistingVpcEndpointConnections"}

Tell = Callable[[str], None]


@dataclass(frozen=True)
class DeleteService:
    service: Service

    def __str__(self) -> str:
        return f"reject what is connected, and delete endpoint service {self.service.id}"


@dataclass(frozen=True)
class DeleteBalancer:
    arn: str
    name: str

    def __str__(self) -> str:
        return f"delete load balancer {self.name} with its listeners"


@dataclass(frozen=True)
class DeleteGroup:
    arn: str
    name: str

    def __str__(self) -> str:
        return f"delete target group {self.name}"


Undo = DeleteService | DeleteBalancer | DeleteGroup


async def expose(aws: Aws, wanted: Exposure, tell: Tell = lambda _: None) -> Service:
    """Make what is missing; harmless to repeat, and to interrupt anywhere. Raises PlatformError or AwsError."""
    for _ in range(ROUNDS):
        seen = await observe(aws, wanted.name, wanted.vpc)
        if not plan(wanted, seen) and seen.service is not None:
            return seen.service
        while todo := plan(wanted, seen):
            tell(str(todo[0]))
            seen = await perform(aws, wanted, seen, todo[0])
    message = f"exposure {wanted.name!r} does not become what was asked for: {todo_words(plan(wanted, seen))}"
    raise PlatformError(409, "NOT_SETTLED", message, "somebody else changes it at the same time: run it again")


def todo_words(steps: tuple[Step, ...]) -> str:
    """Steps as one line."""
    return "; ".join(str(step) for step in steps)


def undo(name: str, seen: Seen) -> tuple[Undo, ...]:
    """What is to be deleted of an exposure, in the order in which AWS allows it; never what others made."""
    steps: list[Undo] = []
    if seen.service:
        steps.append(DeleteService(seen.service))
    if seen.balancer and seen.balancer.ours:
        steps.append(DeleteBalancer(seen.balancer.arn, balancer_name(name)))
    steps += [DeleteGroup(group.arn, name) for name, group in sorted(seen.groups.items()) if group.ours]
    return tuple(steps)


async def preview_concealing(aws: Aws, name: str) -> list[str]:
    """What `conceal` would do, in words."""
    return [str(step) for step in undo(name, await observe(aws, name, ""))]


async def conceal(aws: Aws, name: str, tell: Tell = lambda _: None) -> int:
    """Delete what `expose` made under a name; the number of things that were there. Raises AwsError."""
    steps = undo(name, await observe(aws, name, ""))
    for step in steps:
        tell(str(step))
        await _released(aws, step)
    return len(steps)


async def _released(aws: Aws, step: Undo) -> None:
    """Delete a thing, again while AWS still believes that it is used."""
    deadline = asyncio.get_running_loop().time() + RELEASE_SECONDS
    while True:
        try:
            await _delete(aws, step)
            return
        except AwsRefused as error:
            if error.code not in STILL_USED or asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(PAUSE_SECONDS)


async def _delete(aws: Aws, step: Undo) -> None:
    match step:
        case DeleteService(service):
            await reject(aws, service.id, [one.endpoint for one in await connections(aws, service.id) if one.present])
            answer = await aws.ec2(lambda ec2: ec2.delete_vpc_endpoint_service_configurations(ServiceIds=[service.id]))
            for item in answer.get("Unsuccessful", []):  # answered with HTTP 200
                error = item.get("Error", {})
                raise AwsRefused("DeleteVpcEndpointServices", error.get("Code", ""), error.get("Message", ""))
        case DeleteBalancer(arn):
            await aws.elb(lambda elb: elb.delete_load_balancer(LoadBalancerArn=arn))
        case DeleteGroup(arn):
            await aws.elb(lambda elb: elb.delete_target_group(TargetGroupArn=arn))
