"""Deployments on the real fabric: their networks, what a crash leaves, and what goes with them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cloud.places import BOOT_SECONDS, ZONES, Account
from platforms import FabricProcess, PlatformProcess
from servers import free_port, wait_until
from tieline.client.rest import Client, ClientError
from tieline.cloud.schemas.answers import ResourceAnswer

pytestmark = pytest.mark.world


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabricProcess]:
    with FabricProcess(tmp_path_factory.mktemp("fabric") / "state") as running:
        yield running


@pytest.fixture(scope="module")
def provider(fabric: FabricProcess) -> Iterator[Account]:
    made = Account(fabric.url, fabric.credentials, "customer")
    yield made
    made.close()


@pytest.fixture(scope="module")
def platform(fabric: FabricProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    """A platform with the deployment `demo` in the zones of ZONES."""
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud", fabric) as running:
        running.client.create_deployment(name="demo", zones=ZONES)
        wait_until(lambda: running.client.deployment("demo").status == "running", "the deployment", BOOT_SECONDS)
        yield running


def test_a_deployment_has_its_network_and_its_offer(platform: PlatformProcess) -> None:
    found = platform.client.deployment("demo")
    assert [subnet.zone for subnet in found.subnets] == ZONES
    assert found.agent.connected
    assert found.agent.broker
    offer = platform.client.offer("demo")
    assert (offer.zones, offer.region) == (ZONES, "us-east-1")
    assert offer.principal.startswith("arn:aws:iam::")


def test_a_platform_that_is_killed_takes_up_where_it_was(platform: PlatformProcess) -> None:
    client = platform.client
    instance = client.deployment("demo").instance
    platform.kill()
    platform.start()
    wait_until(lambda: client.deployment("demo").agent.connected, "the agent back on its line")
    assert client.deployment("demo").instance == instance


def test_a_link_that_leads_to_another_service_takes_no_secrets_there(
    platform: PlatformProcess, provider: Account, fabric: FabricProcess
) -> None:
    """Whoever may reconnect a failed link would otherwise have its resources' passwords told to a service of theirs."""
    client, principal = platform.client, platform.client.offer("demo").principal
    first, name = provider.service(ZONES, principal)
    _, other = provider.service(ZONES, principal)
    client.create_link("demo", name="orders", service_name=name, ports=[5432])
    known = {"type": "postgresql", "server": "link:orders:5432", "database": "d", "username": "u"}
    client.create_resource("demo", name="db", password="s3cr3t", **known)
    client.create_resource("demo", name="open", **known)

    def address() -> str:
        """The link's, once its provider has agreed to the last endpoint."""

        def ask() -> str:
            waiting = provider.ec2.describe_vpc_endpoint_connections()["VpcEndpointConnections"]
            for one in waiting:
                if str(one["VpcEndpointState"]).lower() == "pendingacceptance":
                    asking = [one["VpcEndpointId"]]
                    provider.ec2.accept_vpc_endpoint_connections(ServiceId=one["ServiceId"], VpcEndpointIds=asking)
            link = client.link("demo", "orders")
            return link.address if link.status == "running" else ""

        wait_until(lambda: bool(ask()), "the link")
        return ask()

    def told() -> dict[str, str]:
        """Where the agent is to connect to, by the resource's name."""

        def settled() -> bool:
            found = client.deployment("demo")
            return found.agent.applied == found.revision

        wait_until(settled, "the agent's configuration")
        (kept,) = fabric.credentials.parent.glob("instances/*/layers/upper/**/configuration.json")
        return {one["name"]: one["server"] for one in json.loads(kept.read_bytes())["config"]["resources"]}

    before = address()
    wait_until(lambda: told() == dict.fromkeys(("db", "open"), f"{before}:5432"), "what the agent is told")
    endpoint = client.link("demo", "orders").endpoint
    provider.ec2.reject_vpc_endpoint_connections(ServiceId=first, VpcEndpointIds=[endpoint])
    wait_until(lambda: client.link("demo", "orders").status == "failed", "the failure")
    client.reconnect_link("demo", "orders", service_name=other)
    after = address()
    wait_until(lambda: told() == {"db": "orders.link.invalid:5432", "open": f"{after}:5432"}, "what the agent is told")
    with pytest.raises(ClientError, match="another service") as refused:
        client.probe_saved("demo", "db")
    assert refused.value.code == "TEST_FAILED" and "give the resource's secrets again" in refused.value.hint
    with pytest.raises(ClientError, match="another service"):
        client.probe_resource("demo", name="db", password="******", **known)
    where = ("deployments", "demo", "resources", "db")
    assert "another service" in client.change(ResourceAnswer, *where, changes={"pool_size": 2}).reason
    assert told()["db"] == "orders.link.invalid:5432"
    assert client.change(ResourceAnswer, *where, changes={"password": "s3cr3t"}).reason != "another service"
    wait_until(lambda: told() == dict.fromkeys(("db", "open"), f"{after}:5432"), "what the agent is told")
    client.delete_link("demo", "orders", cascade=True)
    wait_until(lambda: client.links("demo") == [], "the end of the link")


def test_a_deployment_goes_with_all_that_is_in_it(
    platform: PlatformProcess, provider: Account, fabric: FabricProcess
) -> None:
    client = platform.client
    _, name = provider.service(ZONES, client.offer("demo").principal)
    client.create_deployment(name="second", zones=ZONES)
    wait_until(lambda: client.deployment("second").status == "running", "the second deployment", BOOT_SECONDS)
    client.create_link("second", name="l", service_name=name)
    with pytest.raises(ClientError) as refused:
        client.delete_deployment("second")
    assert refused.value.code == "IN_USE"
    mqtt = client.deployment("second").mqtt
    assert mqtt != client.deployment("demo").mqtt
    client.delete_deployment("second", cascade=True)
    wait_until(lambda: [d.name for d in client.deployments()] == ["demo"], "the end of the deployment")
    own = Account(fabric.url, fabric.credentials, "platform")
    assert len(own.ec2.describe_vpcs()["Vpcs"]) == 1
    assert len(own.ec2.describe_subnets()["Subnets"]) == 2
    own.close()


def test_a_platform_on_another_port_is_found_again(
    fabric: FabricProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with PlatformProcess(tmp_path_factory.mktemp("moving") / "cloud", fabric) as platform:
        platform.client.create_deployment(name="moving")
        wait_until(lambda: platform.client.deployment("moving").status == "running", "the deployment", BOOT_SECONDS)
        platform.stop()
        platform.port = free_port()
        platform.start()
        with Client(platform.url, platform.key) as client:
            wait_until(lambda: client.deployment("moving").agent.connected, "the agent on its new line")
            client.delete_deployment("moving")
            wait_until(lambda: client.deployments() == [], "the end of the deployment")
