"""The demo world by one click: for root and for an ordinary user, pressed twice, cut short, and removed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from console import browsing
from console.walk import sign_in
from tieline.demo import journal as journals
from tieline.demo.steps import STEPS
from world.ordinary import home_of_user, up_as_user, words_to_become
from world.running import Tieline, until

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]


@pytest.fixture(params=["root", "ordinary user"])
def own(
    request: pytest.FixtureRequest, tmp_path: Path, prefixes: Callable[[], str], chromium: Any
) -> Iterator[Tieline]:
    """A `tieline up` of this test's own."""
    if request.param == "root":
        running = Tieline(tmp_path / "state", prefixes())
        try:
            running.up()
            yield running
        finally:
            running.down()
    else:
        with home_of_user() as home, up_as_user(words_to_become(tmp_path, home), home) as running:
            yield running


@pytest.fixture
def page(own: Tieline, chromium: Any) -> Any:
    """Signed in, at the demo."""
    page = browsing.page_of(chromium)
    sign_in(page, f"{own.rest}/console", (own.state / "api-key").read_text().strip())
    return page


def passed(page: Any) -> None:
    """Wait until every step has passed."""
    done = page.locator("ol.list .state", has_text="passed")
    problem = page.locator(".problem")
    until(lambda: done.count() == len(STEPS) or problem.all_inner_texts(), seconds=240)
    assert problem.all_inner_texts() == []
    browsing.expected(page.locator("svg.map", has_text="orders")).to_contain_text("running")


def cut(own: Tieline) -> None:
    """SIGKILL the fabric and the platform in their work, before who started them lets them end in order."""
    assert own.process is not None
    pid = own.process.pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    own.kill()


def things(own: Tieline) -> dict[str, int]:
    """How many of each kind there are."""
    customer = own.account("customer")
    with own.client() as client:
        deployments = len(client.deployments())
        links = len(client.links())
    return {
        "deployments": deployments,
        "links": links,
        "vpcs": len(customer.ec2.describe_vpcs()["Vpcs"]),
        "subnets": len(customer.ec2.describe_subnets()["Subnets"]),
        "services": len(customer.ec2.describe_vpc_endpoint_service_configurations()["ServiceConfigurations"]),
        "balancers": len(customer.elb.describe_load_balancers()["LoadBalancers"]),
        "groups": len(customer.elb.describe_target_groups()["TargetGroups"]),
        "instances": len(
            customer.ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])[
                "Reservations"
            ]
        ),
    }


def test_pressed_twice_and_removed(own: Tieline, page: Any) -> None:
    own.account("customer").network()
    before = things(own)
    page.goto(f"{own.rest}/console/demo")
    page.get_by_role("button", name="Build the demo world").click()
    browsing.expected(page.get_by_text("being built")).to_be_visible()
    passed(page)
    built = things(own)
    assert built == {name: count + 1 for name, count in before.items()} | {"subnets": before["subnets"] + 2}

    page.get_by_role("button", name="Go through it again").click()
    browsing.expected(page.get_by_text("being built")).to_be_visible()
    passed(page)
    assert things(own) == built

    page.get_by_role("button", name="Remove the demo world").click()
    page.get_by_label("Type demo to confirm").fill("demo")
    page.get_by_role("button", name="Remove", exact=True).click()
    browsing.expected(page.get_by_role("button", name="Build the demo world")).to_be_visible()
    assert things(own) == before
    assert not (own.state / "demo-world.json").exists()


@pytest.mark.parametrize("own", ["root"], indirect=True)
def test_cut_short_it_goes_on_and_leaves_alone_what_has_its_name(own: Tieline, page: Any) -> None:
    with own.client() as client:
        client.create_deployment(name="demo")
    before = things(own)
    page.goto(f"{own.rest}/console/demo")
    page.get_by_role("button", name="Build the demo world").click()
    journal = own.state / journals.FILE
    until(lambda: (found := journals.read(journal)) is not None and len(found.results) >= 2, seconds=120)
    cut(own)
    found = journals.read(journal)
    assert found is not None and 2 <= len(found.results) < len(STEPS)
    own.up()
    page.goto(f"{own.rest}/console/demo")
    page.get_by_role("button", name="Go on").click()
    browsing.expected(page.get_by_text("being built")).to_be_visible()
    passed(page)
    assert things(own)["deployments"] == 2
    assert things(own)["vpcs"] == before["vpcs"] + 1

    page.get_by_role("button", name="Remove the demo world").click()
    page.get_by_label("Type demo-2 to confirm").fill("demo-2")
    page.get_by_role("button", name="Remove", exact=True).click()
    browsing.expected(page.get_by_role("button", name="Build the demo world")).to_be_visible()
    assert things(own) == before
