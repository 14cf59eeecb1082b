"""Every filter that compares what an answer shows finds something in it, and those of links are all of AWS's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from fabric.aws.operations.scene import Scene, model
from tieline.fabric.aws.operations.instances import instance_filters
from tieline.fabric.aws.operations.vpc import interfaces, security_groups, vpc_parts, vpcs
from tieline.fabric.aws.protocol.errors import AwsError

SHOWN: dict[str, Mapping[str, str]] = {
    "DescribeInstances": instance_filters.SHOWN,
    "DescribeNetworkInterfaces": interfaces.SHOWN,
    "DescribeSecurityGroups": security_groups.SHOWN,
    "DescribeNetworkAcls": vpc_parts.ENTRIES,
    "DescribeRouteTables": vpc_parts.ROUTES,
    "DescribeVpcs": vpcs.SHOWN,
}
LINKS = {  # operation: the documented filters that it does not know
    "DescribeVpcEndpoints": set[str](),
    "DescribeVpcEndpointServices": set[str](),
    "DescribeVpcEndpointServiceConfigurations": set[str](),
    "DescribeVpcEndpointServicePermissions": {"permission-type"},
    "DescribeVpcEndpointConnections": {"transit-gateway-attachment-id"},
    "DescribeTags": set[str](),
}
DOCUMENTED = re.compile(r"<li>\s*<p>\s*<code>([^<]+)</code>")


@pytest.fixture(scope="module")
def scene() -> Scene:
    made = Scene()
    group, ec2 = made.ids["group"], made.fabric.customer.ec2
    pair = {"UserIdGroupPairs": [{"GroupId": group}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    rule: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": 5, "ToPort": 6} | pair
    for direction in ("Ingress", "Egress"):
        ec2(f"AuthorizeSecurityGroup{direction}", GroupId=group, IpPermissions=[rule])
    made.fabric.settle()
    ec2("TerminateInstances", InstanceIds=[made.ids["instance"]])  # so that it has a reason
    return made


def found(scene: Scene, operation: str, name: str, value: str) -> list[Any]:
    needed = {"ServiceId": scene.ids["service"]} if operation == "DescribeVpcEndpointServicePermissions" else {}
    answer = scene.fabric.customer.ec2(operation, Filters=[{"Name": name, "Values": [value]}], **needed)
    return next(value for value in answer.values() if isinstance(value, list))


@pytest.mark.parametrize(("operation", "name"), [(each, name) for each, names in SHOWN.items() for name in names])
def test_what_is_shown_can_be_asked_for(scene: Scene, operation: str, name: str) -> None:
    assert found(scene, operation, name, "*")
    assert found(scene, operation, name, "nothing has this") == []


@pytest.mark.parametrize("operation", LINKS)
def test_the_filters_of_links_are_known(scene: Scene, operation: str) -> None:
    shape = model("ec2", operation).input_shape
    assert shape is not None
    documented = {name for name in DOCUMENTED.findall(shape.members["Filters"].documentation) if "tag" not in name}
    assert documented
    unknown = set()
    for name in documented:
        try:
            found(scene, operation, name, "x")
        except AwsError as error:
            assert error.code == "InvalidFilter" and "Known here: " in error.message
            unknown.add(name)
    assert unknown == LINKS[operation]
