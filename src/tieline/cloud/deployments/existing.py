"""A network that exists already: found in the account that a deployment names, checked, and never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import ConfigDict, Field, field_validator

from tieline.cloud.aws.client import Aws, AwsRefused, AwsUnreachable
from tieline.cloud.deployments.boot import DEPLOYMENT_TAG
from tieline.cloud.links.states import aws_problem
from tieline.cloud.model.problems import PlatformError
from tieline.cloud.model.providers import AwsAccount
from tieline.cloud.model.records import Subnet

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import SubnetTypeDef


class ExistingNetwork(AwsAccount):
    """A VPC of an account; links end in these subnets, one of each zone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    vpc: str = Field(pattern=r"^vpc-[0-9a-f]{8,17}$", examples=["vpc-0a1b2c3d4e5f67890"])
    subnets: tuple[str, ...] = Field(
        default=(), max_length=20, description="ids; the first subnet of each zone where none is given"
    )

    @field_validator("subnets")
    @classmethod
    def _sorted(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Their order means nothing: two that differ in it are the same."""
        return tuple(sorted(set(value)))


async def find_subnets(aws: Aws, wanted: ExistingNetwork) -> tuple[tuple[Subnet, ...], frozenset[str]]:
    """The subnets to use, by zone, and the ids of deployments that the VPC was made for; raises PlatformError where the
    network is not as it was described.
    """
    try:
        answer = await aws.ec2(lambda ec2: ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [wanted.vpc]}]))
    except (AwsUnreachable, AwsRefused) as error:
        raise aws_problem(error) from error
    pairs = [tag for subnet in answer["Subnets"] for tag in subnet.get("Tags", [])]
    return chosen(wanted, answer["Subnets"]), frozenset(tag["Value"] for tag in pairs if tag["Key"] == DEPLOYMENT_TAG)


def chosen(wanted: ExistingNetwork, found: Sequence[SubnetTypeDef]) -> tuple[Subnet, ...]:
    """The subnets that were named, or the first of each zone; raises PlatformError."""
    by_id = {item["SubnetId"]: item for item in sorted(found, key=lambda item: item["SubnetId"])}
    if not by_id:
        message = f"{wanted.vpc} does not exist in this account and region, or has no subnet"
        raise PlatformError(422, "UNKNOWN_VPC", message, "check vpc, and the account: profile, role, region")
    unknown = [id for id in wanted.subnets if id not in by_id]
    if unknown:
        message = f"{', '.join(unknown)} is no subnet of {wanted.vpc}"
        raise PlatformError(422, "UNKNOWN_SUBNET", message, f"its subnets: {', '.join(by_id)}")
    taken = [by_id[id] for id in wanted.subnets] or list(by_id.values())
    by_zone = {item["AvailabilityZoneId"]: item for item in reversed(taken)}
    if wanted.subnets and len(by_zone) < len(taken):
        message = "two of the subnets are in one zone: an endpoint takes one subnet of each"
        raise PlatformError(422, "SAME_ZONE", message, "name one subnet of each zone")
    return tuple(
        Subnet(id=item["SubnetId"], zone=zone, cidr=item["CidrBlock"]) for zone, item in sorted(by_zone.items())
    )
