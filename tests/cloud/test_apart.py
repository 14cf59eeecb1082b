"""An administrator of one project gets into no network and to no service of another, and is told of neither."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cloud.places import BOOT_SECONDS, ZONES, Account, until, until_gone
from platforms import FabricProcess, PlatformProcess
from servers import free_port, wait_until
from tieline.client.rest import Client, ClientError
from tieline.cloud.model.records import LinkStatus

pytestmark = pytest.mark.world


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FabricProcess]:
    with FabricProcess(tmp_path_factory.mktemp("fabric") / "state") as running:
        yield running


@pytest.fixture(scope="module")
def account(fabric: FabricProcess) -> Iterator[Account]:
    found = Account(fabric.url, fabric.credentials, "platform")
    yield found
    found.close()


@pytest.fixture(scope="module")
def platform(fabric: FabricProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    with PlatformProcess(tmp_path_factory.mktemp("platform") / "cloud", fabric) as running:
        yield running


@pytest.fixture
def second(platform: PlatformProcess) -> Iterator[Client]:
    """An administrator of the project `second` alone."""
    made = platform.client.create_key(name="of-second", role="administrator", projects=["second"])
    with Client(platform.url, made.key) as client:
        yield client
    platform.client.revoke_key(made.id)


def place(name: str, vpc: str, project: str) -> dict[str, object]:
    mqtt = {"host": "127.0.0.1", "port": free_port()}
    return {"name": name, "provider": "aws", "project": project, "aws": {"vpc": vpc}, "mqtt": mqtt}


def refused(client: Client, wanted: dict[str, object], *secrets: str) -> None:
    before = [one.name for one in client.deployments()]
    with pytest.raises(ClientError) as wrong:
        client.create_deployment(**wanted)
    assert (wrong.value.status, wrong.value.code) == (403, "FORBIDDEN")
    assert not [secret for secret in secrets if secret in f"{wrong.value.message} {wrong.value.hint}"]
    assert [one.name for one in client.deployments()] == before


def test_a_network_that_another_projects_deployment_is_in(
    platform: PlatformProcess, second: Client, account: Account
) -> None:
    vpc, _ = account.network(ZONES)
    platform.client.create_deployment(**place("alpha", vpc, "first"))
    refused(second, place("beta", vpc, "second"), "alpha", "first")
    made = platform.client.create_deployment(**place("shared", vpc, "second"))  # by who may work in both
    for id in (made.id, "alpha"):
        platform.client.delete_deployment(id)
    wait_until(lambda: platform.client.deployments() == [], "the end of the deployments")
    second.create_deployment(**place("beta", vpc, "second"))
    second.delete_deployment("beta")
    wait_until(lambda: second.deployments() == [], "the end of the deployment")


def test_a_network_that_was_made_for_another_projects_deployment(platform: PlatformProcess, second: Client) -> None:
    client = platform.client
    client.create_deployment(name="alpha", project="first", zones=ZONES)
    wait_until(lambda: client.deployment("alpha").status == "running", "the deployment", BOOT_SECONDS)
    refused(second, place("beta", client.deployment("alpha").vpc, "second"), "alpha", "first")
    client.delete_deployment("alpha")
    wait_until(lambda: client.deployments() == [], "the end of the deployment")


def test_a_service_that_another_project_is_linked_to(
    platform: PlatformProcess, second: Client, account: Account, fabric: FabricProcess
) -> None:
    client, provider = platform.client, Account(fabric.url, fabric.credentials, "customer")
    networks = [account.network(ZONES)[0] for _ in range(2)]
    client.create_deployment(**place("alpha", networks[0], "first"))
    second.create_deployment(**place("beta", networks[1], "second"))
    service, name = provider.service(ZONES, client.offer("alpha").principal)
    client.create_link("alpha", name="orders", service_name=name)
    endpoint = until(client, "orders", LinkStatus.WAITING_ACCEPTANCE, "alpha").endpoint
    for ports in ((), (5432,)):
        with pytest.raises(ClientError) as wrong:
            second.create_link("beta", name="mine", service_name=name, ports=ports)
        assert (wrong.value.status, wrong.value.code) == (403, "FORBIDDEN")
        assert not [secret for secret in ("alpha", "orders", "first") if secret in str(wrong.value)]
    assert second.links("beta") == []
    asked = provider.ec2.describe_vpc_endpoint_connections(Filters=[{"Name": "service-id", "Values": [service]}])
    assert [one["VpcEndpointId"] for one in asked["VpcEndpointConnections"]] == [endpoint]
    client.delete_link("alpha", "orders")
    until_gone(client, "orders", "alpha")
    second.create_link("beta", name="mine", service_name=name)  # nobody is linked to it any more
    second.delete_deployment("beta", cascade=True)
    client.delete_deployment("alpha")
    wait_until(lambda: client.deployments() == [], "the end of the deployments", BOOT_SECONDS)
    provider.close()


def test_addresses_of_machines_of_another_project_are_not_told(platform: PlatformProcess, second: Client) -> None:
    where = {"host": "10.9.8.7", "port": 1883}
    platform.client.create_deployment(name="alpha", project="first", provider="external", mqtt=where)
    made = second.create_deployment(name="beta", project="second", provider="external", mqtt=where)
    assert str(made.mqtt) == "10.9.8.7:1883"  # of another machine, as far as anybody knows
    with pytest.raises(ClientError) as wrong:
        second.create_deployment(name="gamma", project="second", provider="external", mqtt=where)
    assert wrong.value.code == "PORT_TAKEN"
    for client, name in ((second, "beta"), (platform.client, "alpha")):
        client.delete_deployment(name)
    wait_until(lambda: platform.client.deployments() == [], "the end of the deployments")
