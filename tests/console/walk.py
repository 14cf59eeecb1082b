"""The guide by clicking: each function is one of its steps, in the words that a person reads."""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tieline.demo.customer import DATABASE, USER, Customer
from world.running import REGION, Tieline

DEPLOYMENT, LINK, RESOURCE, RULE = "plant", "orders", "plant-db", "hot"


def sign_in(page: Any, url: str, key: str) -> None:
    """With an API key."""
    page.goto(f"{url}/")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def sign_in_provider(page: Any, url: str, keys: Mapping[str, str]) -> None:
    """With a pair of access keys."""
    page.goto(f"{url}/provider")
    page.get_by_label("Access key ID").fill(keys["aws_access_key_id"])
    page.get_by_label("Secret access key").fill(keys["aws_secret_access_key"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Provider")).to_be_visible()


def made_customer(tieline: Tieline) -> Customer:
    """What the guide takes for granted on the provider's side: a VPC, and an instance that runs the database."""
    owner = Customer(tieline.wire, tieline.state / "credentials", REGION)
    owner.make_network(["use1-az1", "use1-az2"])
    owner.start_database()
    return owner


class Walk:
    """Two people at two pages: one works with deployments, one provides a service."""

    def __init__(self, url: str, state: Path, consumer: Any, provider: Any) -> None:
        self.url, self.state, self.consumer, self.provider = f"{url}/console", state, consumer, provider

    def perform(self, customer: Customer) -> None:
        """The guide from an empty console to a rule that writes."""
        self.sign_in()
        self.make_deployment()
        arn = self.read_offer()
        self.balance()
        self.create_link(self.publish(arn))
        self.accept()
        self.make_resource(customer.password)
        self.make_rule()

    def sign_in(self) -> None:
        """Both, each with what the state directory holds for them."""
        sign_in(self.consumer, self.url, (self.state / "api-key").read_text().strip())
        sign_in_provider(self.provider, self.url, self.keys)

    @property
    def keys(self) -> Mapping[str, str]:
        """The provider's access keys."""
        found = configparser.ConfigParser()
        found.read(self.state / "credentials")
        return found["customer"]

    def make_deployment(self, name: str = DEPLOYMENT) -> None:
        """From the overview's empty state to a running broker."""
        page = self.consumer
        page.get_by_role("link", name="New deployment").click()
        page.get_by_label("Name", exact=True).fill(name)
        page.get_by_role("checkbox", name="Devices may connect without a user").click()
        page.get_by_role("button", name="Create deployment").click()
        expect(page.get_by_role("heading", name=f"Deployment {name}")).to_be_visible()
        expect(page.locator(".state", has_text="running")).to_be_visible()
        expect(page.get_by_text("connected", exact=True)).to_be_visible()

    def read_offer(self, name: str = DEPLOYMENT) -> str:
        """The first page of +PrivateLink; returns the ARN."""
        page = self.consumer
        page.goto(f"{self.url}/deployments/{name}")
        page.get_by_role("link", name="+PrivateLink").click()
        expect(page.get_by_text("Tell the provider")).to_be_visible()
        return str(page.locator(".value", has_text="arn:aws:iam").first.inner_text())

    def balance(self) -> None:
        """The provider's target group with its target, and the load balancer with its listener."""
        page = self.provider
        page.get_by_role("link", name="Target groups").click()
        page.get_by_label("Target group name").fill("db")
        page.get_by_role("button", name="Create target group").click()
        page.get_by_role("button", name="Register target").click()
        expect(page.get_by_role("table").get_by_text("i-")).to_be_visible()
        page.get_by_role("link", name="Load balancers").click()
        page.get_by_label("Load balancer name").fill("nlb")
        page.get_by_role("button", name="Create load balancer").click()
        expect(page.get_by_text("Listener TCP 5432, forwards to db")).to_be_visible()
        page.get_by_role("link", name="Target groups").click()
        expect(page.get_by_text("healthy", exact=True)).to_be_visible()

    def publish(self, arn: str) -> str:
        """The endpoint service and its allowed principal; returns the service's name."""
        page = self.provider
        page.get_by_role("link", name="Endpoint services").click()
        page.get_by_role("button", name="Create endpoint service").click()
        page.get_by_label("ARN of the principal to allow").fill(arn)
        page.get_by_role("button", name="Allow principal").click()
        expect(page.get_by_role("button", name=f"Remove {arn}")).to_be_visible()
        return str(page.locator(".value", has_text="com.amazonaws.vpce").inner_text())

    def create_link(self, service: str) -> None:
        """The wizard's second page: the name is checked as it is typed."""
        page = self.consumer
        page.get_by_role("button", name="Allow principals and go to the next step").click()
        page.get_by_label("Endpoint service name").fill(service)
        expect(page.get_by_text("The service exists, allows this deployment")).to_be_visible()
        page.get_by_label("Name of the private link").fill(LINK)
        page.get_by_role("button", name="Create PrivateLink").click()
        expect(page.locator(".state", has_text="waiting acceptance")).to_be_visible()

    def accept(self) -> None:
        """The provider accepts, and both pages show it without being loaded again."""
        page = self.provider
        page.get_by_role("button", name="Accept endpoint connection request").click()
        expect(page.get_by_text("available", exact=True)).to_be_visible()  # the service is Available all the time
        expect(self.consumer.locator(".state", has_text="running")).to_be_visible()

    def make_resource(self, password: str) -> None:
        """ "Use it": the resource comes prefilled; a wrong password names the hop."""
        page = self.consumer
        page.get_by_role("link", name="Use it: New Resource").click()
        expect(page.get_by_label("Server *", exact=True)).to_have_value(f"link:{LINK}:5432")
        page.get_by_label("Name", exact=True).fill(RESOURCE)
        page.get_by_label("Database *").fill(DATABASE)
        page.get_by_label("Username *").fill(USER)
        page.get_by_label("Password", exact=True).fill("wrong")
        page.get_by_role("button", name="Test", exact=True).click()
        expect(page.get_by_text("Failed at hop login")).to_be_visible()
        page.get_by_label("Password", exact=True).fill(password)
        page.get_by_role("button", name="Test", exact=True).click()
        expect(page.get_by_text("Test passed")).to_be_visible()
        page.get_by_role("button", name="Create Resource").click()
        expect(page.get_by_text(RESOURCE, exact=True)).to_be_visible()

    def make_rule(self) -> None:
        """The rule, tried on a sample before it is made."""
        page = self.consumer
        page.get_by_role("link", name="New rule").click()
        expect(page.locator("pre", has_text='"temp": 21.5')).to_be_visible()
        page.get_by_label("Name", exact=True).fill(RULE)
        page.get_by_role("button", name="Create rule").click()
        expect(page.get_by_text(RULE, exact=True)).to_be_visible()
        expect(page.locator(".state", has_text="running").nth(1)).to_be_visible()
