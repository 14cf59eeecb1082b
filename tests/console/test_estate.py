"""A provider's account as its pages read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.session import Session

from platforms import FabricProcess
from tieline.console.provider.reading import read

pytestmark = pytest.mark.world
NAMES = [f"tg-{number:02}" for number in range(20)]


@pytest.fixture(scope="module")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with FabricProcess(tmp_path_factory.mktemp("fabric") / "state") as fabric:
        botocore = Session(profile="customer")
        botocore.set_config_variable("credentials_file", str(fabric.credentials))
        session = boto3.Session(botocore_session=botocore, region_name="us-east-1")
        config = Config(max_pool_connections=10, retries={"mode": "standard"})
        made: dict[str, Any] = {
            name: session.client(name, endpoint_url=fabric.url, config=config) for name in ("ec2", "elbv2", "sts")
        }
        vpc = made["ec2"].create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        for name in reversed(NAMES):
            made["elbv2"].create_target_group(Name=name, Protocol="TCP", Port=80, VpcId=vpc)
        yield made


def test_every_group_is_there_and_one_that_goes_meanwhile_is_left_out(clients: dict[str, Any]) -> None:
    ec2, elb, sts = clients["ec2"], clients["elbv2"], clients["sts"]
    found = read(ec2, elb, sts)
    assert ([group.name for group in found.groups], found.problem) == (NAMES, "")
    first = found.groups[0].arn

    def remove(params: dict[str, Any], **_: Any) -> None:
        if params["TargetGroupArn"] == first:  # it is asked for right after
            elb.delete_target_group(TargetGroupArn=first)

    elb.meta.events.register("provide-client-params.elastic-load-balancing-v2.DescribeTargetHealth", remove)
    found = read(ec2, elb, sts)
    assert ([group.name for group in found.groups], found.problem) == (NAMES[1:], "")
