"""The guide in a real browser, from an empty console to rows in PostgreSQL, by two people who only click."""

from __future__ import annotations

import pytest

from console import browsing
from console.walk import DEPLOYMENT, LINK, RESOURCE, RULE, Walk
from tieline.client.rest import Client
from tieline.demo.customer import DATABASE, USER, Customer
from tieline.demo.devices import expected, publish, readings
from world.running import Tieline, until

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]


def devices_of(tieline: Tieline, customer: Customer) -> set[str]:
    """The guide's devices that have rows; other tests' devices have other names."""
    url = f"postgresql://{USER}:{customer.password}@{customer.address}:5432/{DATABASE}"
    query = "select distinct device from readings where device like 'device-%'"
    return set(tieline.inside(customer.instance, "psql", "-AtX", url, "-c", query).stdout.split())


def written(client: Client) -> int:
    return sum(int(metrics.get("success", 0)) for metrics in client.rule(DEPLOYMENT, RULE).action_metrics)


def test_messages_arrive_as_rows_and_the_open_pages_count_them(
    tieline: Tieline, client: Client, linked: Walk, customer: Customer
) -> None:
    page = linked.consumer
    page.goto(f"{linked.url}/")
    sent, before = readings(200), written(client)
    mqtt = client.deployment(DEPLOYMENT).mqtt
    publish(mqtt.host, mqtt.port, sent)
    wanted = {reading.device for reading in expected(sent)}
    until(lambda: devices_of(tieline, customer), lambda found: found == wanted, seconds=60)
    shown = page.locator(".count", has_text="Rows written").locator("b")
    until(
        lambda: (int(shown.inner_text().replace(",", "")), written(client)),
        lambda counts: counts[0] == counts[1] >= before + len(wanted),
        seconds=60,
    )
    browsing.expected(page.locator("svg.map", has_text=LINK)).to_contain_text("running")


def test_every_page_tells_what_is_there(linked: Walk) -> None:
    page = linked.consumer
    page.goto(f"{linked.url}/deployments/{DEPLOYMENT}/private-links/{LINK}")
    for hop in ("consent", "endpoint", "tcp", "login"):
        browsing.expected(page.locator(".hops li.ok", has_text=hop).first).to_be_visible()
    browsing.expected(page.get_by_text(f"resource {RESOURCE}")).to_be_visible()
    page.goto(f"{linked.url}/deployments/{DEPLOYMENT}?tab=monitoring")
    browsing.expected(page.get_by_role("cell", name=RULE)).to_be_visible()


def test_consent_withdrawn_is_seen_at_once_with_its_reason(linked: Walk, customer: Customer) -> None:
    page = linked.consumer
    page.goto(f"{linked.url}/deployments/{DEPLOYMENT}/private-links/{LINK}")
    browsing.expected(page.locator(".state", has_text="running")).to_be_visible()
    linked.provider.goto(f"{linked.url}/provider/endpoint-services")
    try:
        linked.provider.get_by_role("button", name="Reject").click()
        browsing.expected(page.get_by_text("Reason: rejected")).to_be_visible()
        linked.provider.get_by_role("button", name="Accept endpoint connection request").click()
        browsing.expected(page.locator(".state", has_text="running")).to_be_visible()
    finally:
        for asked in customer.ec2.describe_vpc_endpoint_connections()["VpcEndpointConnections"]:
            if str(asked["VpcEndpointState"]) == "rejected":
                customer.ec2.accept_vpc_endpoint_connections(
                    ServiceId=asked["ServiceId"], VpcEndpointIds=[asked["VpcEndpointId"]]
                )
