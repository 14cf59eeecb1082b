"""Deletion by clicking, in the guide's order and in the wrong one; it takes down what test_guide put up."""

from __future__ import annotations

import pytest

from console import browsing
from console.walk import DEPLOYMENT, LINK, RESOURCE, RULE, Walk
from tieline.client.rest import Client
from world.running import until

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]


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


def test_a_deleted_deployment_leaves_the_open_list_by_itself(client: Client, linked: Walk) -> None:
    page = linked.consumer
    page.goto(f"{linked.url}/deployments/{DEPLOYMENT}")
    page.get_by_role("button", name="Delete deployment").click()
    page.get_by_label(f"Type {DEPLOYMENT} to confirm").fill(DEPLOYMENT)
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    browsing.expected(page.get_by_role("heading", name="Deployments")).to_be_visible()
    browsing.expected(page.get_by_role("link", name=DEPLOYMENT)).to_have_count(0)
    until(client.deployments, lambda found: DEPLOYMENT not in [one.name for one in found])
