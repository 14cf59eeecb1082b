"""Whose account a deployment is in: by a role that trusts the platform, by a profile that its operator allows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloud.places import REGION, ZONES, Account, until, until_gone
from platforms import FabricProcess, PlatformProcess
from servers import free_port, wait_until
from tieline.client.rest import ClientError
from tieline.cloud.model.records import LinkStatus
from tieline.fabric.daemon import control

pytestmark = pytest.mark.world


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabricProcess]:
    with FabricProcess(tmp_path_factory.mktemp("fabric") / "state") as running:
        yield running


@pytest.fixture(scope="module")
def platform(fabric: FabricProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud", fabric) as running:
        yield running


@pytest.fixture
def customer(fabric: FabricProcess) -> Iterator[Account]:
    account = Account(fabric.url, fabric.credentials, "customer")
    yield account
    account.close()


def place(**network: object) -> dict[str, object]:
    return {"name": "demo", "provider": "aws", "aws": network, "mqtt": {"host": "127.0.0.1", "port": free_port()}}


def test_a_role_is_assumed_once_its_account_trusts_us(
    fabric: FabricProcess, platform: PlatformProcess, customer: Account
) -> None:
    client = platform.client
    vpc, _ = customer.network(ZONES)
    found = {one.name: one for one in control.ask(fabric.credentials.parent, control.Listing()).accounts}
    role = f"arn:aws:iam::{found['customer'].id}:role/tieline-admin"
    with pytest.raises(ClientError) as refused:
        client.create_deployment(**place(vpc=vpc, role=role))
    assert (refused.value.status, refused.value.code) == (502, "CREDENTIALS")
    assert "AssumeRole" in str(refused.value)
    assert client.deployments() == []
    trusted = f"arn:aws:iam::{found['platform'].id}:root"
    control.ask(fabric.credentials.parent, control.Trust("customer", trusted))
    made = client.create_deployment(**place(vpc=vpc, role=role))
    assert made.aws
    assert made.aws.external_id.startswith("tieline-")
    assert client.offer("demo").principal == f"arn:aws:iam::{found['customer'].id}:root"
    provider = Account(fabric.url, fabric.credentials, "platform")
    service, name = provider.service(ZONES, client.offer("demo").principal)
    client.create_link("demo", name="across", service_name=name)
    endpoint = until(client, "across", LinkStatus.WAITING_ACCEPTANCE).endpoint
    owned = customer.ec2.describe_vpc_endpoints(VpcEndpointIds=[endpoint])["VpcEndpoints"]
    assert [(one["VpcId"], one["ServiceName"]) for one in owned] == [(vpc, name)]
    provider.ec2.accept_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[endpoint])
    until(client, "across", LinkStatus.RUNNING)
    client.delete_link("demo", "across")
    until_gone(client, "across")
    client.delete_deployment("demo")
    wait_until(lambda: client.deployments() == [], "the end of the deployment")
    assert len(customer.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]) == len(ZONES)
    provider.close()


@pytest.mark.parametrize(
    ("network", "status", "code"),
    [
        ({"vpc": "vpc-0123456789abcdef0"}, 422, "UNKNOWN_VPC"),
        ({"vpc": "vpc-0123456789abcdef0", "profile": "other"}, 403, "FORBIDDEN_PROFILE"),
        ({"vpc": "mine"}, 422, "INVALID_REQUEST"),
        ({"vpc": "vpc-0123456789abcdef0", "role": "admin"}, 422, "INVALID_REQUEST"),
    ],
)
def test_what_cannot_be_is_refused(
    platform: PlatformProcess, network: dict[str, object], status: int, code: str
) -> None:
    with pytest.raises(ClientError) as refused:
        platform.client.create_deployment(**place(**network))
    assert (refused.value.status, refused.value.code) == (status, code)
    assert platform.client.deployments() == []


def test_a_network_belongs_to_the_provider_aws(platform: PlatformProcess, fabric: FabricProcess) -> None:
    own = Account(fabric.url, fabric.credentials, "platform")
    vpc, subnets = own.network(ZONES)
    for wanted in (
        {**place(vpc=vpc), "provider": "external"},
        {**place(vpc=vpc), "aws": None},
    ):
        with pytest.raises(ClientError) as refused:
            platform.client.create_deployment(**wanted)
        assert refused.value.code == "AWS_NETWORK"
    made = platform.client.create_deployment(**place(vpc=vpc, subnets=subnets[:1], region=REGION))
    assert [subnet.id for subnet in made.subnets] == subnets[:1]
    platform.client.delete_deployment("demo")
    wait_until(lambda: platform.client.deployments() == [], "the end of the deployment")
    own.close()
