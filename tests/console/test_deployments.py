"""New deployments by clicking, in networks that exist: what is refused is told at its field, what is made is shown."""

from __future__ import annotations

import re
from typing import Any

import pytest

from console import browsing
from console.walk import DEPLOYMENT, LINK, Walk
from tieline.client.rest import Client
from tieline.console.pages.deployments.new_deployment import place_of
from tieline.console.pages.links.wizard import ports_of
from world.running import until

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("name", "name"),
        ("aws.vpc", "aws.vpc"),
        ("aws.subnets.3", "aws.subnets"),
        ("broker.port", "mqtt.port"),
        ("broker.username", "broker.username"),
        ("mqtt.host", "mqtt.host"),
        ("", ""),
    ],
)
def test_a_field_of_rest_is_found_in_the_form(field: str, place: str) -> None:
    assert place_of(field) == place


def form(walk: Walk, network: str) -> Any:
    page = walk.consumer
    page.goto(f"{walk.url}/deployments/new")
    browsing.expected(page.locator("#content:not([disabled])")).to_be_visible()
    page.get_by_role("combobox", name="Network").click()
    page.get_by_role("option", name=network).click()
    return page


def refused(page: Any, field: str, typed: str, told: str) -> None:
    """Try to create, and expect the refusal in the field's own frame."""
    entry = page.get_by_label(re.compile(f"^{field}"))
    entry.fill(typed)
    page.get_by_role("button", name="Create deployment").click()
    place = page.locator("label.q-field", has=entry)
    browsing.expected(place.get_by_role("alert").filter(has_text=told)).to_be_visible()  # an earlier one may be going


def test_a_deployment_is_made_in_a_vpc_that_exists(linked: Walk, client: Client) -> None:
    there = client.deployment(DEPLOYMENT)
    page = form(linked, "In a VPC of mine")
    page.get_by_label("Name", exact=True).fill("existing")
    page.get_by_label("Where devices connect: port").fill("18830")
    refused(page, "VPC", "vpc", "vpc")
    refused(page, "VPC", "vpc-00000000000000000", "does not exist")
    page.get_by_label("VPC", exact=True).fill(there.vpc)
    refused(page, "Subnets", "subnet-0", "is no subnet of")
    page.get_by_label("Subnets").fill("")
    refused(page, "Role to assume", "admin", "match")
    assert "existing" not in [one.name for one in client.deployments()]
    page.get_by_label("Role to assume").fill("")
    page.get_by_role("button", name="Create deployment").click()
    try:
        browsing.expected(page.get_by_text("shown only now")).to_be_visible()
        assert "TIELINE_JOIN=tlj_" in page.locator("pre", has_text="tieline agent").inner_text()
        made = client.deployment("existing")
        assert (made.provider, made.vpc, made.mqtt.port) == ("aws", there.vpc, 18830)
        assert made.subnets == there.subnets
        page.get_by_role("link", name="Go on to the deployment").click()
        browsing.expected(page.get_by_text("the platform's own", exact=True)).to_be_visible()
        for subnet in there.subnets:
            browsing.expected(page.get_by_text(f"{subnet.zone} ({subnet.id}")).to_be_visible()
    finally:
        client.delete_deployment("existing")
        until(client.deployments, lambda found: "existing" not in [one.name for one in found])


def test_a_port_that_is_none_is_told_at_its_field_and_nothing_is_made(linked: Walk, client: Client) -> None:
    page = linked.consumer
    page.goto(f"{linked.url}/deployments/{DEPLOYMENT}/private-links/new?step=2")
    entry = page.get_by_label("Listener ports, with commas")
    for typed, wrong in (("0", "0"), ("5432, 99999", "99999"), ("5432 or 5433", "5432 or 5433"), ("-1", "-1")):
        entry.fill(typed)
        page.get_by_role("button", name="Create PrivateLink").click()
        told = page.locator("label.q-field", has=entry).get_by_role("alert").filter(has_text=f"{wrong} is no port")
        browsing.expected(told).to_be_visible()
    assert [link.name for link in client.links(DEPLOYMENT)] == [LINK]
    assert ports_of(" 5432,65535, 1,5432,") == [5432, 65535, 1]


def test_a_broker_of_ones_own_is_joined(linked: Walk, client: Client) -> None:
    page = form(linked, "Anywhere")
    page.get_by_label("Name", exact=True).fill("own")
    page.get_by_role("combobox", name="Broker").click()
    page.get_by_role("option", name="A broker of my own").click()
    page.get_by_label("User of your broker").fill("writer")
    page.get_by_label("Password of this user").fill("secret of the writer")
    refused(page, "Where devices connect: host", "no host", "match")
    page.get_by_label("Where devices connect: host").fill("emqx.example.com")
    page.get_by_label("Where devices connect: port").fill("8883")
    page.get_by_role("checkbox", name="With TLS").click()
    page.get_by_role("button", name="Create deployment").click()
    try:
        browsing.expected(page.get_by_text("shown only now")).to_be_visible()
        remote = client.deployment("own").remote
        assert remote is not None
        assert (remote.host, remote.port, remote.username, remote.tls) == ("emqx.example.com", 8883, "writer", True)
    finally:
        client.delete_deployment("own")
        until(client.deployments, lambda found: "own" not in [one.name for one in found])
