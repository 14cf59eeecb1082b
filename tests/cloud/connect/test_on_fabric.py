"""Exposing on a real fabric: repeated, interrupted after every step, changed, and taken back without a trace."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Literal

import pytest

from platforms import FabricProcess
from tieline.client.connect.expose import conceal, expose
from tieline.client.connect.perform import perform
from tieline.client.connect.plan import plan
from tieline.client.provider.exposure import Exposure, exposure
from tieline.client.provider.observe import observe
from tieline.cloud.aws.client import Aws, AwsSettings
from tieline.cloud.model.problems import PlatformError

pytestmark = pytest.mark.world

ZONES = ("use1-az1", "use1-az2")
NETWORK: Literal["network"] = "network"
ARN = "arn:aws:iam::111122223333:root"


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabricProcess]:
    with FabricProcess(tmp_path_factory.mktemp("fabric") / "state") as running:
        yield running


@pytest.fixture(scope="module")
def aws(fabric: FabricProcess) -> Iterator[Aws]:
    made = Aws(AwsSettings("us-east-1", fabric.url, fabric.credentials, "customer"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def vpc(aws: Aws) -> str:
    """A VPC with a subnet in each of three zones."""
    return asyncio.run(_network(aws))


async def _network(aws: Aws) -> str:
    vpc = (await aws.ec2(lambda ec2: ec2.create_vpc(CidrBlock="10.0.0.0/16")))["Vpc"]["VpcId"]
    for n, zone in enumerate((*ZONES, "use1-az3"), 1):
        block = f"10.0.{n}.0/24"
        await aws.ec2(
            lambda ec2, block=block, zone=zone: ec2.create_subnet(  # type: ignore[misc]
                VpcId=vpc, CidrBlock=block, AvailabilityZoneId=zone
            )
        )
    return vpc


def wanted(vpc: str, name: str, *to: str, zones: tuple[str, ...] = ZONES) -> Exposure:
    return exposure(name, vpc, to or ("10.0.1.10:5432",), zones, (ARN,))


async def _interrupted(aws: Aws, asked: Exposure, after: int) -> None:
    """The first steps only, as a command does that is killed then."""
    seen = await observe(aws, asked.name, asked.vpc)
    for step in plan(asked, seen)[:after]:
        seen = await perform(aws, asked, seen, step)


async def _steps(aws: Aws, asked: Exposure) -> list[str]:
    return [str(step) for step in plan(asked, await observe(aws, asked.name, asked.vpc))]


def test_an_interruption_after_any_step_is_made_good(aws: Aws, vpc: str) -> None:
    for after in range(8):
        asked = wanted(vpc, f"cut{after}", "10.0.1.10:5432")
        asyncio.run(_interrupted(aws, asked, after))
        service = asyncio.run(expose(aws, asked))
        assert asyncio.run(_steps(aws, asked)) == []
        assert asyncio.run(expose(aws, asked)) == service
        asyncio.run(conceal(aws, asked.name))
        assert asyncio.run(conceal(aws, asked.name)) == 0


def test_it_becomes_what_is_asked_for_now(aws: Aws, vpc: str) -> None:
    before = asyncio.run(expose(aws, wanted(vpc, "moving")))
    more = wanted(vpc, "moving", "10.0.1.11:5432", "10.0.2.12:6379", zones=(*ZONES, "use1-az3"))
    told: list[str] = []
    after = asyncio.run(expose(aws, more, told.append))
    assert (after.id, after.zones) == (before.id, frozenset({*ZONES, "use1-az3"}))
    assert any("deregister 10.0.1.10" in line for line in told)
    assert asyncio.run(_steps(aws, more)) == []
    seen = asyncio.run(observe(aws, "moving", vpc))
    assert [listener.port for listener in seen.listeners] == [5432, 6379]
    asyncio.run(conceal(aws, "moving"))


def test_names_that_begin_alike_are_kept_apart(aws: Aws, vpc: str) -> None:
    for name in ("db", "db-5432", "d_b"):
        asyncio.run(expose(aws, wanted(vpc, name)))
    asyncio.run(conceal(aws, "db"))
    for name in ("db-5432", "d_b"):
        assert asyncio.run(_steps(aws, wanted(vpc, name))) == []
        asyncio.run(conceal(aws, name))


def test_a_strange_load_balancer_of_the_same_name_is_not_touched(aws: Aws, vpc: str) -> None:
    subnets = [subnet.id for subnet in asyncio.run(observe(aws, "mine", vpc)).subnets]
    made = asyncio.run(
        aws.elb(
            lambda elb: elb.create_load_balancer(Name="tl-mine", Subnets=subnets, Scheme="internal", Type="network")
        )
    )
    with pytest.raises(PlatformError) as refused:
        asyncio.run(expose(aws, wanted(vpc, "mine")))
    assert refused.value.code == "NAME_TAKEN"
    assert asyncio.run(conceal(aws, "mine")) == 0
    arn = made["LoadBalancers"][0]["LoadBalancerArn"]
    asyncio.run(aws.elb(lambda elb: elb.delete_load_balancer(LoadBalancerArn=arn)))


def test_an_unknown_vpc_is_named(aws: Aws) -> None:
    with pytest.raises(PlatformError) as refused:
        asyncio.run(expose(aws, wanted("vpc-0123456789abcdef0", "nowhere")))
    assert (refused.value.code, "--vpc" in refused.value.hint) == ("UNKNOWN_VPC", True)
