"""Places that a private link can be made in: on the fabric, on what the platform takes for AWS, on moto.

Each has a platform with the deployment `demo` in the zones of ZONES, and a provider whose services it links to.
"""

from __future__ import annotations

import configparser
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from moto.ec2.models import vpcs as moto_vpcs
from moto.server import ThreadedMotoServer

from platforms import FabricProcess, PlatformProcess
from servers import free_port, wait_until
from tieline.client.rest import Client
from tieline.cloud.model.records import LinkStatus, PrivateLinkView

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

REGION = "us-east-1"
ZONES = ["use1-az1", "use1-az2"]
BOOT_SECONDS = 120.0  # for a deployment's machine, which also compiles its broker's plugin
NOWHERE = "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"


class Account:
    """An AWS account of an endpoint: networks and services in any zones."""

    def __init__(self, url: str, credentials: Path, profile: str) -> None:
        found = configparser.RawConfigParser()
        found.read(credentials)
        keys = found[profile]
        self.keys = (keys["aws_access_key_id"], keys["aws_secret_access_key"])
        session = boto3.Session(*self.keys, region_name=REGION)
        self.ec2: EC2Client = session.client("ec2", endpoint_url=url)
        self.elb: ElasticLoadBalancingv2Client = session.client("elbv2", endpoint_url=url)

    def close(self) -> None:
        self.ec2.close()
        self.elb.close()

    def network(self, zones: list[str]) -> tuple[str, list[str]]:
        """A new VPC with a subnet in each zone."""
        vpc = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        return vpc, [
            self.ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZoneId=zone)["Subnet"]["SubnetId"]
            for n, zone in enumerate(zones)
        ]

    def service(self, zones: list[str], principal: str = "") -> tuple[str, str]:
        """A new service in these zones that admits a principal; its id and name."""
        _, subnets = self.network(zones)
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


@dataclass(frozen=True)
class Place:
    """`consents`: whether endpoints wait for acceptance here, and services hide; moto has neither."""

    platform: PlatformProcess
    provider: Account
    consents: bool = True

    @property
    def client(self) -> Client:
        return self.platform.client


@contextmanager
def on_fabric(directory: Path) -> Iterator[Place]:
    """A deployment in a network that the platform made."""
    with ExitStack() as stack:
        fabric = stack.enter_context(FabricProcess(directory / "state"))
        platform = stack.enter_context(PlatformProcess(directory / "cloud", fabric))
        provider = Account(fabric.url, fabric.credentials, "customer")
        stack.callback(provider.close)
        platform.client.create_deployment(name="demo", zones=ZONES, anonymous=True)
        wait_until(lambda: platform.client.deployment("demo").status == "running", "the deployment", BOOT_SECONDS)
        yield Place(platform, provider)


@contextmanager
def elsewhere(directory: Path) -> Iterator[Place]:
    """A deployment in a network that exists, in an account of an endpoint that is not the platform's: as on AWS."""
    with ExitStack() as stack:
        own = stack.enter_context(FabricProcess(directory / "state"))
        there = stack.enter_context(FabricProcess(directory / "there"))
        owner = Account(there.url, there.credentials, "platform")
        provider = Account(there.url, there.credentials, "customer")
        stack.callback(owner.close)
        stack.callback(provider.close)
        platform = PlatformProcess(directory / "cloud", own, ["--aws-profile", "plant"])
        platform.environment = profile(directory, "plant", there.url, *owner.keys)
        stack.enter_context(platform)
        vpc, subnets = owner.network(ZONES)
        join(platform.client, {"profile": "plant", "vpc": vpc, "subnets": subnets})
        yield Place(platform, provider)


@contextmanager
def on_moto(directory: Path) -> Iterator[Place]:
    """moto in place of AWS: records without packets or consent."""
    moto_vpcs.DEFAULT_VPC_ENDPOINT_SERVICES[REGION] = []  # AWS's own services need modules that are not installed
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    with ExitStack() as stack:
        stack.callback(server.stop)
        url = "http://{}:{}".format(*server.get_host_and_port())
        credentials = directory / "credentials"
        credentials.write_text("[platform]\naws_access_key_id = own\naws_secret_access_key = secret\n")
        options = ["--aws-endpoint", url, "--credentials", str(credentials), "--profile", "platform"]
        platform = stack.enter_context(PlatformProcess(directory / "cloud", options=options))
        account = Account(url, credentials, "platform")
        stack.callback(account.close)
        vpc, _ = account.network(ZONES)
        join(platform.client, {"vpc": vpc})
        yield Place(platform, account, consents=False)


def profile(directory: Path, name: str, url: str, key: str, secret: str) -> dict[str, str]:
    """The environment of a process whose AWS configuration has this profile."""
    config, credentials = directory / "aws-config", directory / "aws-credentials"
    config.write_text(f"[profile {name}]\nendpoint_url = {url}\nregion = {REGION}\n")
    credentials.write_text(f"[{name}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
    return {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(credentials)}


def join(client: Client, network: dict[str, object]) -> str:
    """The deployment `demo` in a network that exists; its join token."""
    mqtt = {"host": "127.0.0.1", "port": free_port()}
    made = client.create_deployment(name="demo", provider="aws", aws=network, mqtt=mqtt)
    assert [subnet.zone for subnet in made.subnets] == ZONES
    return made.join_token


def until(client: Client, name: str, status: LinkStatus, deployment: str = "demo") -> PrivateLinkView:
    wait_until(lambda: client.link(deployment, name).status is status, f"link {name} {status}")
    return client.link(deployment, name)


def until_gone(client: Client, name: str, deployment: str = "demo") -> None:
    wait_until(lambda: name not in [link.name for link in client.links(deployment)], f"the end of link {name}")


def endpoints(provider: Account, service: str) -> list[str]:
    """The endpoints that asked for a service, as its provider sees them."""
    found = provider.ec2.describe_vpc_endpoint_connections(Filters=[{"Name": "service-id", "Values": [service]}])
    return [connection["VpcEndpointId"] for connection in found["VpcEndpointConnections"]]
