"""What is typed, and what somebody was told, stays when something else changes on the page meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from console import browsing
from console.walk import DEPLOYMENT, RESOURCE, Walk
from tieline.client.rest import Client
from tieline.demo.customer import Customer
from world.running import until

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]
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
    place: Any = {"SubnetId": customer.subnets[0], "MinCount": 2, "MaxCount": 2}
    made = customer.ec2.run_instances(ImageId="local", UserData=script, **place)["Instances"]
    first, second = (one["InstanceId"] for one in made)
    try:
        chosen = page.get_by_role("combobox", name="Instance")
        browsing.expected(page.get_by_role("button", name="Register target")).to_be_visible()
        until(lambda: states(customer, first, second), lambda found: found == {"running"})
        chosen.click()
        browsing.expected(page.get_by_role("option", name=first)).to_be_visible()
        page.get_by_role("option", name=second).click()
        customer.ec2.terminate_instances(InstanceIds=[first])
        until(lambda: states(customer, first), lambda found: found == {"terminated"})
        chosen.click()
        browsing.expected(page.get_by_role("option", name=second)).to_be_visible()
        browsing.expected(page.get_by_role("option", name=first)).to_have_count(0)
        page.keyboard.press("Escape")
        browsing.expected(page.locator("label.q-field", has=chosen)).to_contain_text(second)
        browsing.expected(page.get_by_label("Target group name")).to_have_value("half a name")
    finally:
        customer.ec2.terminate_instances(InstanceIds=[first, second])
    browsing.expected(page.get_by_role("button", name="Register target")).to_have_count(0)


def states(customer: Customer, *ids: str) -> set[str]:
    found = customer.ec2.describe_instances(InstanceIds=list(ids))["Reservations"]
    return {str(one["State"]["Name"]) for reservation in found for one in reservation["Instances"]}


def test_a_target_group_that_is_made_can_be_forwarded_to_and_takes_nothing_that_is_typed(
    linked: Walk, customer: Customer
) -> None:
    page = linked.provider
    page.goto(f"{linked.url}/provider/load-balancers")
    page.get_by_label("Load balancer name").fill("half a name")
    page.get_by_text("Add a listener").click()
    page.get_by_label("Port", exact=True).fill("1883")
    place: Any = {"Protocol": "TCP", "Port": 1883, "VpcId": customer.vpc, "TargetType": "instance"}
    (group,) = customer.elb.create_target_group(Name=OTHER, **place)["TargetGroups"]
    listening = page.get_by_text(f"Listener TCP 1883, forwards to {OTHER}")
    try:
        page.get_by_role("combobox", name="Forward to", exact=True).click()
        page.get_by_role("option", name=f"{OTHER} (TCP 1883)").click()
        page.get_by_role("button", name="Add listener").click()
        browsing.expected(listening).to_be_visible()
        browsing.expected(page.get_by_label("Load balancer name")).to_have_value("half a name")
        browsing.expected(page.get_by_label("Port", exact=True)).to_have_value("1883")
    finally:
        for balancer in customer.elb.describe_load_balancers()["LoadBalancers"]:
            there = customer.elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
            for listener in (one for one in there if one["Port"] == 1883):
                customer.elb.delete_listener(ListenerArn=listener["ListenerArn"])
        customer.elb.delete_target_group(TargetGroupArn=group["TargetGroupArn"])
    browsing.expected(listening).to_have_count(0)


def test_zones_are_told_by_the_accounts_name_and_by_the_id_that_the_guide_has(linked: Walk, customer: Customer) -> None:
    subnets = customer.ec2.describe_subnets(SubnetIds=customer.subnets)["Subnets"]
    names = {one["AvailabilityZoneId"]: one["AvailabilityZone"] for one in subnets}
    told = ", ".join(f"{names[id]} ({id})" for id in ("use1-az1", "use1-az2"))
    for path in ("/provider/load-balancers", "/provider/endpoint-services"):
        linked.provider.goto(linked.url + path)
        browsing.expected(linked.provider.get_by_text(told, exact=True)).to_be_visible()


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


def test_a_browser_that_is_busy_for_long_keeps_what_is_typed(linked: Walk) -> None:
    page = linked.consumer
    page.goto(f"{linked.url}/deployments/new")
    page.get_by_label("Name", exact=True).fill("half a name")
    page.evaluate("for (const end = Date.now() + 25_000; Date.now() < end;);")
    page.get_by_role("button", name="Create deployment").click()
    browsing.expected(page.get_by_role("alert")).to_contain_text("letters, digits")
    browsing.expected(page.get_by_label("Name", exact=True)).to_have_value("half a name")
