"""What is typed, and what somebody was told, stays when something else changes on the page meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from console import browsing
from console.walk import DEPLOYMENT, RESOURCE, Walk
from tieline.cloud.client import Client
from tieline.demo.customer import Customer

pytestmark = [pytest.mark.world, pytest.mark.timeout(300)]
OTHER = "meanwhile"
# A browser that is busy for three seconds as soon as the page is connected.
BUSY = """(function wait() {
  if (!window.did_handshake) return setTimeout(wait, 1);
  for (const end = Date.now() + 3000; Date.now() < end;);
})()"""


def test_an_instance_that_starts_can_be_registered_and_takes_nothing_that_is_typed(
    linked: Walk, customer: Customer
) -> None:
    page = linked.provider
    page.goto(f"{linked.url}/provider/target-groups")
    page.get_by_label("Target group name").fill("half a name")
    script = "#!/bin/sh\nexec sleep 1000\n"
    place: Any = {"SubnetId": customer.subnets[0], "MinCount": 1, "MaxCount": 1}
    (made,) = customer.ec2.run_instances(ImageId="local", UserData=script, **place)["Instances"]
    try:
        chosen = page.get_by_role("combobox", name="Instance")
        browsing.expected(page.get_by_role("button", name="Register target")).to_be_visible()
        chosen.click()
        browsing.expected(page.get_by_role("option", name=made["InstanceId"])).to_be_visible()
        browsing.expected(page.get_by_label("Target group name")).to_have_value("half a name")
    finally:
        customer.ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    browsing.expected(page.get_by_role("button", name="Register target")).to_have_count(0)


def test_what_a_test_found_is_told_until_the_next_one(linked: Walk, client: Client) -> None:
    page = linked.consumer
    page.goto(f"{linked.url}/deployments/{DEPLOYMENT}?tab=integration")
    page.get_by_role("button", name=f"Test resource {RESOURCE}").click()
    browsing.expected(page.get_by_text("Test passed")).to_be_visible()
    login = {"database": "d", "username": "u", "password": "p"}
    client.create_resource(DEPLOYMENT, name=OTHER, type="postgresql", server="nowhere.invalid:9", **login)
    try:
        browsing.expected(page.get_by_role("link", name=OTHER, exact=True)).to_be_visible()
        browsing.expected(page.get_by_text("Test passed")).to_be_visible()
        page.get_by_role("button", name=f"Test resource {OTHER}").click()
        browsing.expected(page.get_by_text("Failed at hop")).to_be_visible()
        browsing.expected(page.get_by_text("Test passed")).to_be_visible()
    finally:
        client.delete_resource(DEPLOYMENT, OTHER)


def test_a_rule_is_tried_when_its_page_opens_in_a_busy_browser_too(linked: Walk) -> None:
    page = linked.consumer.context.new_page()
    try:
        page.add_init_script(BUSY)
        page.goto(f"{linked.url}/deployments/{DEPLOYMENT}/rules/new")
        browsing.expected(page.locator("pre", has_text='"temp": 21.5')).to_be_visible()
    finally:
        page.close()
