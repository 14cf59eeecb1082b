"""The guide in a real browser, from an empty console to rows in PostgreSQL, by two people who only click."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from console import browsing
from console.walk import DEPLOYMENT, LINK, RESOURCE, RULE, Walk
from tieline.cloud.client import Client
from tieline.demo.customer import DATABASE, USER, Customer
from tieline.demo.devices import expected, publish, readings
from world.running import REGION, Tieline, until

pytestmark = [pytest.mark.world, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def customer(tieline: Tieline) -> Customer:
    """What the guide takes for granted on the provider's side: a VPC, and an instance that runs the database."""
    owner = Customer(tieline.wire, tieline.state / "credentials", REGION)
    owner.make_network(["use1-az1", "use1-az2"])
    owner.start_database()
    return owner


@pytest.fixture(scope="module")
def client(tieline: Tieline) -> Iterator[Client]:
    """REST, to see what the clicks made."""
    with tieline.client() as found:
        yield found


@pytest.fixture(scope="module")
def walk(tieline: Tieline, chromium: Any) -> Walk:
    return Walk(tieline.rest, tieline.state, browsing.page_of(chromium), browsing.page_of(chromium))


@pytest.fixture(scope="module")
def linked(walk: Walk, customer: Customer) -> Walk:
    """The guide's steps as far as a rule that writes."""
    walk.sign_in()
    walk.make_deployment()
    arn = walk.read_offer()
    walk.balance()
    walk.create_link(walk.publish(arn))
    walk.accept()
    walk.make_resource(customer.password)
    walk.make_rule()
    return walk


def devices_of(tieline: Tieline, customer: Customer) -> set[str]:
    url = f"postgresql://{USER}:{customer.password}@{customer.address}:5432/{DATABASE}"
    done = tieline.inside(customer.instance, "psql", "-AtX", url, "-c", "select distinct device from readings")
    return set(done.stdout.split())


def test_messages_arrive_as_rows_and_the_open_pages_count_them(
    tieline: Tieline, client: Client, linked: Walk, customer: Customer
) -> None:
    page = linked.consumer
    page.goto(f"{linked.url}/")
    sent = readings(200)
    mqtt = client.deployment(DEPLOYMENT).mqtt
    publish(mqtt.host, mqtt.port, sent)
    wanted = {reading.device for reading in expected(sent)}
    until(lambda: devices_of(tieline, customer), lambda found: found == wanted, seconds=60)
    written = page.locator(".count", has_text="Rows written")
    browsing.expected(written).to_contain_text(str(len(wanted)))
    browsing.expected(page.locator("svg.map", has_text=LINK)).to_contain_text("running")


def test_every_page_tells_what_is_there(linked: Walk) -> None:
    page = linked.consumer
    page.goto(f"{linked.url}/deployments/{DEPLOYMENT}/private-links/{LINK}")
    for hop in ("consent", "endpoint", "tcp", "login"):
        browsing.expected(page.locator(".hops li.ok", has_text=hop).first).to_be_visible()
    browsing.expected(page.get_by_text(f"resource {RESOURCE}")).to_be_visible()
    page.goto(f"{linked.url}/deployments/{DEPLOYMENT}?tab=monitoring")
    browsing.expected(page.get_by_role("cell", name=RULE)).to_be_visible()


def test_consent_withdrawn_is_seen_at_once_with_its_reason(linked: Walk) -> None:
    page = linked.consumer
    page.goto(f"{linked.url}/deployments/{DEPLOYMENT}/private-links/{LINK}")
    browsing.expected(page.locator(".state", has_text="running")).to_be_visible()
    linked.provider.goto(f"{linked.url}/provider/endpoint-services")
    linked.provider.get_by_role("button", name="Reject").click()
    browsing.expected(page.get_by_text("Reason: rejected")).to_be_visible()
    linked.provider.get_by_role("button", name="Accept endpoint connection request").click()
    browsing.expected(page.locator(".state", has_text="running")).to_be_visible()


def test_deleting_asks_for_the_name_and_tells_what_goes_with_it(client: Client, linked: Walk) -> None:
    page = linked.consumer
    page.goto(f"{linked.url}/deployments/{DEPLOYMENT}")
    page.get_by_role("button", name=f"Delete private link {LINK}").click()
    browsing.expected(page.get_by_text(f"In use by resource {RESOURCE}, rule {RULE}")).to_be_visible()
    act = page.get_by_role("dialog").get_by_role("button", name="Delete")
    page.get_by_label(f"Type {LINK} to confirm").fill("another")
    browsing.expected(act).to_be_disabled()
    page.get_by_role("button", name="Keep it").click()
    assert [link.name for link in client.links(DEPLOYMENT)] == [LINK]


def test_the_provider_goes_first_and_the_link_says_so_and_can_be_deleted(client: Client, linked: Walk) -> None:
    provider, page = linked.provider, linked.consumer
    provider.goto(f"{linked.url}/provider/endpoint-services")
    button = provider.get_by_role("button", name="Delete endpoint service")
    service = button.get_attribute("aria-label").rpartition(" ")[2]
    button.click()
    provider.get_by_label(f"Type {service} to confirm").fill(service)
    provider.get_by_role("dialog").get_by_role("button", name="Delete").click()
    page.goto(f"{linked.url}/deployments/{DEPLOYMENT}/private-links/{LINK}")
    browsing.expected(page.locator(".state", has_text="failed").first).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_label(f"Type {LINK} to confirm").fill(LINK)
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    browsing.expected(page.get_by_role("heading", name=f"Deployment {DEPLOYMENT}")).to_be_visible()
    until(lambda: client.links(DEPLOYMENT), lambda links: not links)
    assert client.resources(DEPLOYMENT) == [] == client.rules(DEPLOYMENT)


def test_deleting_the_deployment_leaves_an_empty_console(client: Client, linked: Walk) -> None:
    page = linked.consumer
    page.goto(f"{linked.url}/deployments/{DEPLOYMENT}")
    page.get_by_role("button", name="Delete deployment").click()
    page.get_by_label(f"Type {DEPLOYMENT} to confirm").fill(DEPLOYMENT)
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    browsing.expected(page.get_by_role("heading", name="Deployments")).to_be_visible()
    browsing.expected(page.get_by_text("There is none yet.")).to_be_visible()
    until(lambda: client.deployments(), lambda found: not found)
