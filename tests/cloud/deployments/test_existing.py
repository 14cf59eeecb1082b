"""Which subnets of a network that exists are used: those that are named, else the first of each zone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tieline.cloud.deployments.existing import ExistingNetwork, chosen
from tieline.cloud.model.problems import PlatformError

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import SubnetTypeDef

VPC = "vpc-0123456789abcdef0"
FOUND: list[SubnetTypeDef] = [
    {"SubnetId": f"subnet-{n}", "AvailabilityZoneId": zone, "CidrBlock": f"10.0.{n}.0/24"}
    for n, zone in enumerate(("use1-az2", "use1-az1", "use1-az2"))
]


def ids(*named: str) -> list[str]:
    return [subnet.id for subnet in chosen(ExistingNetwork(vpc=VPC, subnets=named), FOUND)]


def test_the_first_of_each_zone_by_default() -> None:
    assert ids() == ["subnet-1", "subnet-0"]


def test_those_that_are_named() -> None:
    assert ids("subnet-2", "subnet-2") == ["subnet-2"]


@pytest.mark.parametrize(
    ("named", "code"), [(("subnet-9",), "UNKNOWN_SUBNET"), (("subnet-0", "subnet-2"), "SAME_ZONE")]
)
def test_others_are_refused(named: tuple[str, ...], code: str) -> None:
    with pytest.raises(PlatformError) as refused:
        ids(*named)
    assert refused.value.code == code


def test_a_network_without_subnets_is_none() -> None:
    with pytest.raises(PlatformError) as refused:
        chosen(ExistingNetwork(vpc=VPC), [])
    assert refused.value.code == "UNKNOWN_VPC"
