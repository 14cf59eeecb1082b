"""Deployments and links against the real fabric: what it refuses, what a crash leaves, and who goes first."""

from __future__ import annotations

import configparser
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import pytest

from platforms import FabricProcess, PlatformProcess
from servers import free_port, wait_until
from tieline.cloud.client import Client, ClientError
from tieline.cloud.records import LinkStatus, PrivateLinkView

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

pytestmark = pytest.mark.world

NOWHERE = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"
ZONES = ["use1-az1", "use1-az2"]
POSTGRESQL = {"type": "postgresql", "database": "app", "username": "app", "password": "x"}


class Provider:
    """The customer's account: services in any zones."""

    def __init__(self, fabric: FabricProcess) -> None:
        found = configparser.ConfigParser()
        found.read(fabric.credentials)
        keys = found["customer"]
        session = boto3.Session(keys["aws_access_key_id"], keys["aws_secret_access_key"], region_name="us-east-1")
        self.ec2: EC2Client = session.client("ec2", endpoint_url=fabric.url)
        self.elb: ElasticLoadBalancingv2Client = session.client("elbv2", endpoint_url=fabric.url)

    def service(self, zones: list[str], principal: str = "") -> tuple[str, str]:
        """A new service in these zones that admits a principal; its id and name."""
        vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnets = [
            self.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZoneId=zone)["Subnet"]["SubnetId"]
            for n, zone in enumerate(zones)
        ]
        name = f"nlb-{secrets.token_hex(4)}"
        balancer = self.elb.create_load_balancer(Name=name, Subnets=subnets, Scheme="internal", Type="network")
        made = self.ec2.create_vpc_endpoint_service_configuration(
            NetworkLoadBalancerArns=[balancer["LoadBalancers"][0]["LoadBalancerArn"]], AcceptanceRequired=True
        )["ServiceConfiguration"]
        if principal:
            self.ec2.modify_vpc_endpoint_service_permissions(
                ServiceId=made["ServiceId"], AddAllowedPrincipals=[principal]
            )
        return made["ServiceId"], made["ServiceName"]


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabricProcess]:
    with FabricProcess(tmp_path_factory.mktemp("fabric") / "state") as running:
        yield running


@pytest.fixture(scope="module")
def provider(fabric: FabricProcess) -> Iterator[Provider]:
    made = Provider(fabric)
    yield made
    made.ec2.close()
    made.elb.close()


@pytest.fixture(scope="module")
def platform(fabric: FabricProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    """A platform with the deployment `demo` in the zones of ZONES."""
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud", fabric) as running:
        running.client.create_deployment(name="demo", zones=ZONES)
        wait_until(lambda: running.client.deployment("demo").status == "running", "the deployment", 40)
        yield running


def until(client: Client, name: str, status: LinkStatus) -> PrivateLinkView:
    wait_until(lambda: client.link("demo", name).status is status, f"link {name} {status}")
    return client.link("demo", name)


def until_gone(client: Client, name: str) -> None:
    wait_until(lambda: name not in [link.name for link in client.links("demo")], f"the end of link {name}")


def endpoints(client: Client, provider: Provider, service: str) -> list[str]:
    found = provider.ec2.describe_vpc_endpoint_connections(Filters=[{"Name": "service-id", "Values": [service]}])
    return [connection["VpcEndpointId"] for connection in found["VpcEndpointConnections"]]


def test_a_deployment_has_its_network_and_its_offer(platform: PlatformProcess) -> None:
    found = platform.client.deployment("demo")
    assert [subnet.zone for subnet in found.subnets] == ZONES
    assert found.agent.connected
    assert found.agent.broker
    offer = platform.client.offer("demo")
    assert (offer.zones, offer.region) == (ZONES, "us-east-1")
    assert offer.principal.startswith("arn:aws:iam::")


def test_an_unknown_or_forbidden_service_is_refused(platform: PlatformProcess, provider: Provider) -> None:
    client = platform.client
    service, name = provider.service(["use1-az1"])
    for refused_name in (NOWHERE, name):
        with pytest.raises(ClientError) as refused:
            client.create_link("demo", name="no", service_name=refused_name)
        assert (refused.value.status, refused.value.code) == (422, "NOT_ALLOWED")
        assert client.offer("demo").principal in refused.value.hint
    assert client.links("demo") == []
    assert endpoints(client, provider, service) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("postgres", "INVALID_SERVICE_NAME"),
        ("com.amazonaws.us-east-1.s3", "INVALID_SERVICE_NAME"),
        (NOWHERE.replace("us-east-1", "eu-west-1"), "WRONG_REGION"),
    ],
)
def test_a_name_that_cannot_be_is_refused(platform: PlatformProcess, name: str, code: str) -> None:
    with pytest.raises(ClientError) as refused:
        platform.client.create_link("demo", name="no", service_name=name)
    assert (refused.value.status, refused.value.code) == (422, code)


def test_without_a_common_zone_both_sets_are_named(platform: PlatformProcess, provider: Provider) -> None:
    client = platform.client
    service, name = provider.service(["use1-az3", "use1-az4"], client.offer("demo").principal)
    with pytest.raises(ClientError) as refused:
        client.create_link("demo", name="far", service_name=name)
    assert (refused.value.status, refused.value.code) == (422, "ZONE_MISMATCH")
    assert refused.value.extra["deployment_zones"] == ZONES
    assert refused.value.extra["service_zones"] == ["use1-az3", "use1-az4"]
    assert endpoints(client, provider, service) == []


def test_a_link_from_birth_to_the_providers_farewell(platform: PlatformProcess, provider: Provider) -> None:
    client = platform.client
    service, name = provider.service(["use1-az2", "use1-az3"], client.offer("demo").principal)
    client.create_link("demo", name="orders", service_name=name, ports=[5432])
    waiting = until(client, "orders", LinkStatus.WAITING_ACCEPTANCE)
    assert waiting.endpoint in waiting.hint
    assert waiting.zones == ("use1-az2",)
    with pytest.raises(ClientError) as failed:
        client.probe_resource("demo", name="db", server="link:orders:5432", **POSTGRESQL)
    assert (failed.value.extra["hop"], failed.value.hint) == ("link", waiting.hint)
    provider.ec2.accept_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[waiting.endpoint])
    running = until(client, "orders", LinkStatus.RUNNING)
    assert running.addresses == (f"{running.address}:5432",)
    client.create_resource("demo", name="db", server=running.addresses[0], **POSTGRESQL)
    with pytest.raises(ClientError) as refused:
        client.delete_link("demo", "orders")
    assert [item["name"] for item in refused.value.extra["dependants"]] == ["db"]
    provider.ec2.reject_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[running.endpoint])
    assert until(client, "orders", LinkStatus.FAILED).reason in ("rejected", "service_removed")
    provider.ec2.delete_vpc_endpoint_service_configurations(ServiceIds=[service])
    wait_until(lambda: client.link("demo", "orders").reason == "service_removed", "the reason")
    client.delete_link("demo", "orders", cascade=True)
    until_gone(client, "orders")
    assert client.resources("demo") == []
    events = [entry.event for entry in running.history]
    assert events[0] == "created"
    assert events[-1] == "running"


def test_a_rejected_link_is_admitted_after_all(platform: PlatformProcess, provider: Provider) -> None:
    client = platform.client
    service, name = provider.service(ZONES, client.offer("demo").principal)
    client.create_link("demo", name="again", service_name=name)
    endpoint = until(client, "again", LinkStatus.WAITING_ACCEPTANCE).endpoint
    provider.ec2.reject_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[endpoint])
    assert until(client, "again", LinkStatus.FAILED).reason == "rejected"
    provider.ec2.accept_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[endpoint])
    until(client, "again", LinkStatus.RUNNING)
    client.delete_link("demo", "again")
    client.delete_link("demo", "again")
    until_gone(client, "again")


def test_a_platform_that_is_killed_takes_up_where_it_was(platform: PlatformProcess, provider: Provider) -> None:
    client = platform.client
    service, name = provider.service(ZONES, client.offer("demo").principal)
    client.create_link("demo", name="crash", service_name=name)
    platform.kill()
    platform.start()
    made = until(client, "crash", LinkStatus.WAITING_ACCEPTANCE)
    assert endpoints(client, provider, service) == [made.endpoint]
    wait_until(lambda: client.deployment("demo").agent.connected, "the agent back on its line")
    client.delete_link("demo", "crash")
    platform.kill()
    platform.start()
    until_gone(client, "crash")


def test_a_deployment_goes_with_all_that_is_in_it(
    platform: PlatformProcess, provider: Provider, fabric: FabricProcess
) -> None:
    client = platform.client
    _, name = provider.service(ZONES, client.offer("demo").principal)
    client.create_deployment(name="second", zones=ZONES)
    wait_until(lambda: client.deployment("second").status == "running", "the second deployment", 40)
    client.create_link("second", name="l", service_name=name)
    with pytest.raises(ClientError) as refused:
        client.delete_deployment("second")
    assert refused.value.code == "IN_USE"
    mqtt = client.deployment("second").mqtt
    assert mqtt != client.deployment("demo").mqtt
    client.delete_deployment("second", cascade=True)
    wait_until(lambda: [d.name for d in client.deployments()] == ["demo"], "the end of the deployment")
    keys = configparser.ConfigParser()
    keys.read(fabric.credentials)
    own = boto3.Session(
        keys["platform"]["aws_access_key_id"], keys["platform"]["aws_secret_access_key"], region_name="us-east-1"
    ).client("ec2", endpoint_url=fabric.url)
    assert len(own.describe_vpcs()["Vpcs"]) == 1
    assert len(own.describe_subnets()["Subnets"]) == 2
    own.close()


def test_a_platform_on_another_port_is_found_again(
    fabric: FabricProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with PlatformProcess(tmp_path_factory.mktemp("moving") / "cloud", fabric) as platform:
        platform.client.create_deployment(name="moving")
        wait_until(lambda: platform.client.deployment("moving").status == "running", "the deployment", 40)
        platform.stop()
        platform.port = free_port()
        platform.start()
        with Client(platform.url, platform.key) as client:
            wait_until(lambda: client.deployment("moving").agent.connected, "the agent on its new line", 40)
            client.delete_deployment("moving")
            wait_until(lambda: client.deployments() == [], "the end of the deployment")
