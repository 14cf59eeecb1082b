"""A port between this machine and an instance is the platform's alone: no other account opens one by a tag."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fabric.worlds import Account, Fabric
from tieline.fabric.core.records import Instance

INGRESS = {"Key": "tieline:ingress", "Value": "127.0.0.1:1883->1883"}
EGRESS = {"Key": "tieline:egress", "Value": "8080->127.0.0.1:8080"}


@pytest.fixture
def fabric() -> Fabric:
    return Fabric()


def place(account: Account, *tags: dict[str, str]) -> dict[str, Any]:
    _, subnets = account.network()
    asked = [{"ResourceType": "instance", "Tags": list(tags)}] if tags else []
    return {"ImageId": "local", "MinCount": 1, "MaxCount": 1, "SubnetId": subnets[0], "TagSpecifications": asked}


def run(account: Account, *tags: dict[str, str]) -> str:
    id: str = account.ec2("RunInstances", **place(account, *tags))["Instances"][0]["InstanceId"]
    return id


def test_the_platforms_instances_have_their_passages(fabric: Fabric) -> None:
    id = run(fabric.platform, INGRESS)
    fabric.platform.ec2("CreateTags", Resources=[id], Tags=[EGRESS])
    assert sorted(fabric.plan().passages) == [f"{id}-in-1883", f"{id}-out-8080"]


@pytest.mark.parametrize("tag", [INGRESS, EGRESS], ids=lambda tag: tag["Key"])
def test_another_accounts_are_refused(fabric: Fabric, tag: dict[str, str]) -> None:
    asked = place(fabric.customer, tag)
    assert tag["Key"] in fabric.customer.refused("UnauthorizedOperation", "ec2", "RunInstances", **asked)
    id = run(fabric.customer)
    fabric.customer.refused("UnauthorizedOperation", "ec2", "CreateTags", Resources=[id], Tags=[tag])
    assert fabric.plan().passages == {}


def test_a_tag_from_before_opens_nothing_for_another_account(fabric: Fabric) -> None:
    id = run(fabric.platform, EGRESS)
    instance = fabric.world.get(Instance, id)
    assert instance is not None and fabric.plan().passages
    with fabric.world.transaction():
        fabric.world.put(msgspec.structs.replace(instance, owner=fabric.customer.id))
    assert fabric.plan().passages == {}


@pytest.mark.parametrize("value", ["8080", "8080->10.0.0.1:80", "0->127.0.0.1:80", "٨٠->127.0.0.1:80"])
def test_a_malformed_one_is_refused(fabric: Fabric, value: str) -> None:
    asked = place(fabric.platform, {"Key": "tieline:egress", "Value": value})
    fabric.platform.refused("InvalidParameterValue", "ec2", "RunInstances", **asked)
