"""Private links, by the same tests wherever they are made: what is refused, what a crash leaves, and who goes first."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from cloud.places import NOWHERE, ZONES, Place, elsewhere, endpoints, on_fabric, on_moto, until, until_gone
from servers import wait_until
from tieline.client.rest import ClientError
from tieline.cloud.model.records import LinkStatus, PrivateLinkView

POSTGRESQL = {"type": "postgresql", "database": "app", "username": "app", "password": "x"}
PLACES = {"fabric": on_fabric, "elsewhere": elsewhere, "moto": on_moto}
WORLDS = pytest.mark.world


@pytest.fixture(
    scope="module",
    params=[pytest.param("fabric", marks=WORLDS), pytest.param("elsewhere", marks=WORLDS), pytest.param("moto")],
)
def anywhere(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with PLACES[request.param](tmp_path_factory.mktemp(request.param)) as place:
        yield place


@pytest.fixture
def consenting(anywhere: Place) -> Place:
    """A place where the provider is asked."""
    if not anywhere.consents:
        pytest.skip("moto accepts every endpoint at once, and hides no service")
    return anywhere


def test_an_unknown_service_is_refused(anywhere: Place) -> None:
    with pytest.raises(ClientError) as refused:
        anywhere.client.create_link("demo", name="no", service_name=NOWHERE)
    assert (refused.value.status, refused.value.code) == (422, "NOT_ALLOWED")
    assert anywhere.client.offer("demo").principal in refused.value.hint
    assert anywhere.client.links("demo") == []


def test_a_forbidden_service_is_refused(consenting: Place) -> None:
    service, name = consenting.provider.service(["use1-az1"])
    with pytest.raises(ClientError) as refused:
        consenting.client.create_link("demo", name="no", service_name=name)
    assert (refused.value.status, refused.value.code) == (422, "NOT_ALLOWED")
    assert endpoints(consenting.provider, service) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("postgres", "INVALID_SERVICE_NAME"),
        ("com.amazonaws.us-east-1.s3", "INVALID_SERVICE_NAME"),
        (NOWHERE.replace("us-east-1", "eu-west-1"), "WRONG_REGION"),
    ],
)
def test_a_name_that_cannot_be_is_refused(anywhere: Place, name: str, code: str) -> None:
    with pytest.raises(ClientError) as refused:
        anywhere.client.create_link("demo", name="no", service_name=name)
    assert (refused.value.status, refused.value.code) == (422, code)


def test_without_a_common_zone_both_sets_are_named(anywhere: Place) -> None:
    client = anywhere.client
    _, name = anywhere.provider.service(["use1-az3", "use1-az4"], client.offer("demo").principal)
    with pytest.raises(ClientError) as refused:
        client.create_link("demo", name="far", service_name=name)
    assert (refused.value.status, refused.value.code) == (422, "ZONE_MISMATCH")
    assert refused.value.extra["deployment_zones"] == ZONES
    assert refused.value.extra["service_zones"] == ["use1-az3", "use1-az4"]
    assert client.links("demo") == []


def test_a_link_is_made_once_and_goes_for_good(anywhere: Place) -> None:
    client = anywhere.client
    service, name = anywhere.provider.service(["use1-az2", "use1-az3"], client.offer("demo").principal)
    client.create_link("demo", name="there", service_name=name, ports=[5432, 6379])
    if anywhere.consents:
        endpoint = until(client, "there", LinkStatus.WAITING_ACCEPTANCE).endpoint
        anywhere.provider.ec2.accept_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[endpoint])
    running = until(client, "there", LinkStatus.RUNNING)
    assert running.zones == ("use1-az2",)
    assert running.addresses == (f"{running.address}:5432", f"{running.address}:6379")
    headers = {"Authorization": f"Bearer {anywhere.platform.key}"}
    for path in ("private-links", "deployments/demo/private-links"):
        listed = httpx.get(
            f"{anywhere.platform.url}/api/v1/{path}", headers=headers, trust_env=False, verify=False, timeout=60
        )
        [shown] = listed.json()["private_links"]
        assert shown.keys() == PrivateLinkView.model_fields.keys()
    assert client.delete_link("demo", "there").status is LinkStatus.DELETING
    try:
        assert client.delete_link("demo", "there").status is LinkStatus.DELETING
    except ClientError as gone:
        assert gone.status == 404, gone
    until_gone(client, "there")


def test_a_link_from_birth_to_the_providers_farewell(consenting: Place) -> None:
    client, provider = consenting.client, consenting.provider
    service, name = provider.service(["use1-az2", "use1-az3"], client.offer("demo").principal)
    client.create_link("demo", name="orders", service_name=name, ports=[5432])
    waiting = until(client, "orders", LinkStatus.WAITING_ACCEPTANCE)
    assert waiting.endpoint in waiting.hint
    with pytest.raises(ClientError) as failed:
        client.probe_resource("demo", name="db", server="link:orders:5432", **POSTGRESQL)
    assert (failed.value.extra["hop"], failed.value.hint) == ("link", waiting.hint)
    provider.ec2.accept_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[waiting.endpoint])
    running = until(client, "orders", LinkStatus.RUNNING)
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


def test_a_rejected_link_is_admitted_after_all(consenting: Place) -> None:
    client, provider = consenting.client, consenting.provider
    service, name = provider.service(ZONES, client.offer("demo").principal)
    client.create_link("demo", name="again", service_name=name)
    endpoint = until(client, "again", LinkStatus.WAITING_ACCEPTANCE).endpoint
    provider.ec2.reject_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[endpoint])
    assert until(client, "again", LinkStatus.FAILED).reason == "rejected"
    provider.ec2.accept_vpc_endpoint_connections(ServiceId=service, VpcEndpointIds=[endpoint])
    until(client, "again", LinkStatus.RUNNING)
    client.delete_link("demo", "again")
    until_gone(client, "again")


def test_a_platform_that_is_killed_takes_up_where_it_was(anywhere: Place) -> None:
    client = anywhere.client
    service, name = anywhere.provider.service(ZONES, client.offer("demo").principal)
    client.create_link("demo", name="crash", service_name=name)
    anywhere.platform.kill()
    anywhere.platform.start()
    made = until(client, "crash", LinkStatus.WAITING_ACCEPTANCE if anywhere.consents else LinkStatus.RUNNING)
    if anywhere.consents:
        assert endpoints(anywhere.provider, service) == [made.endpoint]
    client.delete_link("demo", "crash")
    anywhere.platform.kill()
    anywhere.platform.start()
    until_gone(client, "crash")
