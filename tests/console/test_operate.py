"""The daily work by clicking, after the guide: people and keys, a rule that is changed, letters tried again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import paho.mqtt.publish as mqtt_publish
import pytest
from paho.mqtt import MQTTException

from console import browsing
from console.walk import DEPLOYMENT, LINK, RULE, Walk, sign_in
from tieline.client.rest import Client
from tieline.demo.customer import DATABASE, USER, Customer
from world.running import Tieline, until

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]
PASSWORD = "a passphrase of some words"


@pytest.fixture
def second(chromium: Any, tieline: Tieline) -> Iterator[Any]:
    """Another person with another browser."""
    page = browsing.page_of(chromium)
    sign_in(page, f"{tieline.rest}/console", (tieline.state / "api-key").read_text().strip())
    yield page
    page.context.close()


def confirm(page: Any, name: str, verb: str = "Delete") -> None:
    page.get_by_label(f"Type {name} to confirm").fill(name)
    page.get_by_role("dialog").get_by_role("button", name=verb).click()


def lets_in_anybody(client: Client) -> bool:
    """Whether the deployment's broker takes a message of somebody without a name."""
    mqtt = client.deployment(DEPLOYMENT).mqtt
    try:
        mqtt_publish.single("nobody/asks/for/this", "", qos=1, hostname=mqtt.host, port=mqtt.port)
    except (MQTTException, OSError):
        return False
    return True


def show(walk: Walk, path: str, page: Any = None) -> Any:
    page = page or walk.consumer
    page.goto(walk.url + path)
    browsing.expected(page.locator("#content:not([disabled])")).to_be_visible()
    return page


def test_people_are_made_by_one_and_seen_by_another_at_once(linked: Walk, client: Client, second: Any) -> None:
    page = show(linked, "/access")
    show(linked, "/access", second)
    page.get_by_label("Name of the user").fill("grace")
    page.get_by_label("Password, 12 characters at least").fill(PASSWORD)
    page.get_by_role("button", name="Create user").click()
    browsing.expected(second.get_by_role("cell", name="grace", exact=True)).to_be_visible()
    assert [user.role for user in client.users() if user.name == "grace"] == ["operator"]
    second.get_by_role("button", name="Delete user grace").click()
    confirm(second, "grace")
    browsing.expected(page.get_by_role("cell", name="grace", exact=True)).to_have_count(0)
    page = show(linked, "/access?tab=audit")
    browsing.expected(page.get_by_text("deleted user grace")).to_be_visible()


def test_a_key_is_shown_once_and_works_until_it_is_revoked(linked: Walk, tieline: Tieline) -> None:
    page = show(linked, "/access?tab=keys")
    page.get_by_label("Name of the key").fill("ci")
    page.get_by_role("button", name="Create API key").click()
    key = page.locator("pre").inner_text()

    def status() -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.get(f"{tieline.rest}/api/v1/deployments", headers=headers, trust_env=False).status_code

    assert status() == 200
    page.get_by_role("button", name="Revoke API key ci").click()
    confirm(page, "ci")
    until(status, lambda code: code == 401)


def test_webhooks_and_mqtt_users_come_and_go(linked: Walk, client: Client) -> None:
    page = show(linked, "/settings")
    page.get_by_text("New webhook").click()
    page.get_by_label("Name of the webhook").fill("on-call")
    page.get_by_label("URL").fill("no url")
    page.get_by_role("button", name="Create webhook").click()
    browsing.expected(page.get_by_role("alert")).to_contain_text("no URL")
    page = show(linked, f"/deployments/{DEPLOYMENT}?tab=users")
    page.get_by_label("Name of the MQTT user").fill("pump-7")
    page.get_by_label("Password").fill("secret of pump 7")
    page.get_by_label("Rules on topics").fill("allow publish pumps/7/#\ndeny all secret/#")
    page.get_by_role("button", name="Create MQTT user").click()
    browsing.expected(page.get_by_role("cell", name="deny all secret/#")).to_be_visible()
    (user,) = client.mqtt_users(DEPLOYMENT)
    assert [(rule.permission, rule.action, rule.topic) for rule in user.rules] == [
        ("allow", "publish", "pumps/7/#"),
        ("deny", "all", "secret/#"),
    ]
    page.get_by_role("button", name="Delete MQTT user pump-7").click()
    confirm(page, "pump-7")
    until(lambda: client.mqtt_users(DEPLOYMENT), lambda users: not users)
    until(lambda: lets_in_anybody(client))  # what the next tests publish has no name


def test_a_rules_error_is_marked_where_it_is_and_the_corrected_rule_is_saved(linked: Walk, client: Client) -> None:
    page = show(linked, f"/deployments/{DEPLOYMENT}/rules/{RULE}")
    sql = page.get_by_role("textbox", name="SQL of the rule")
    browsing.expected(page.locator("pre", has_text='"temp": 21.5')).to_be_visible()
    sql.fill("SELECT payload.device as FROM")
    browsing.expected(page.locator(".wrong")).to_be_visible()
    good = 'SELECT payload.device as device, payload.temp as temp, timestamp FROM "sensors/#" WHERE payload.temp > 20'
    sql.fill(good)
    browsing.expected(page.locator(".wrong")).to_have_count(0)
    page.get_by_role("button", name="Save").click()
    browsing.expected(page.get_by_role("heading", name=f"Deployment {DEPLOYMENT}")).to_be_visible()
    assert client.rule(DEPLOYMENT, RULE).sql == good


def test_a_letter_is_corrected_and_its_row_arrives(
    linked: Walk, tieline: Tieline, client: Client, customer: Customer
) -> None:
    until(lambda: client.rule(DEPLOYMENT, RULE).status, lambda status: status == "running")
    mqtt = client.deployment(DEPLOYMENT).mqtt
    wrong = json.dumps({"device": "la\0te", "temp": 99})  # a text that PostgreSQL does not take

    def fail(count: int) -> None:
        mqtt_publish.single("sensors/9", wrong, qos=1, hostname=mqtt.host, port=mqtt.port)
        until(lambda: client.deployment(DEPLOYMENT).agent.dead_letters, lambda letters: letters == count)

    corrected = json.dumps({"device": "late", "temp": 99})
    try:
        fail(1)
        page = show(linked, f"/deployments/{DEPLOYMENT}/dead-letters")
        page.get_by_label("Payload").fill(corrected)
        fail(2)
        browsing.expected(page.get_by_label("Payload")).to_have_count(2)
        browsing.expected(page.get_by_label("Payload").first).to_have_value(corrected)  # what is being typed stays
        page.get_by_role("button", name="Replay letter").first.click()
        browsing.expected(page.get_by_text("1 on their way again")).to_be_visible()
        url = f"postgresql://{USER}:{customer.password}@{customer.address}:5432/{DATABASE}"
        query = "select count(*) from readings where device = 'late'"
        until(
            lambda: tieline.inside(customer.instance, "psql", "-AtX", url, "-c", query).stdout.strip(),
            lambda rows: rows == "1",
        )
        browsing.expected(page.get_by_label("Payload")).to_have_count(1)
        page.get_by_role("button", name="Discard letter").click()
        browsing.expected(page.get_by_text("None: every message")).to_be_visible()
    finally:
        client.discard_letters(DEPLOYMENT)


def test_the_audit_log_is_searched_by_kind_record_and_person(linked: Walk, client: Client) -> None:
    client.delete_user(client.create_user(name="audited", password=PASSWORD, role="auditor").id)
    page = show(linked, "/access?tab=audit")
    found = page.get_by_role("region", name="Audit log")

    def search(kind: str, record: str, who: str) -> None:
        page.get_by_role("combobox", name="Kind").click()
        page.get_by_role("option", name=kind, exact=True).click()
        page.get_by_label("Id or name of the record").fill(record)
        page.get_by_label("Who").fill(who)
        page.get_by_role("button", name="Search").click()

    search("user", "audited", "")
    for verb in ("created", "deleted"):
        browsing.expected(found.get_by_text(f"{verb} user audited")).to_be_visible()
    browsing.expected(found.get_by_text("created rule")).to_have_count(0)
    search("all", RULE, "")
    browsing.expected(found.get_by_text(f"created rule {RULE}")).to_be_visible()
    browsing.expected(found.get_by_text("user audited")).to_have_count(0)
    search("all", RULE, "nobody of this name")
    browsing.expected(page.get_by_text("Nothing was changed that fits")).to_be_visible()
    browsing.expected(found).to_have_count(0)


def test_the_bytes_on_a_link_are_shown_while_they_move(linked: Walk, client: Client) -> None:
    page, mqtt = show(linked, "/"), client.deployment(DEPLOYMENT).mqtt
    id = client.link(DEPLOYMENT, LINK).id
    message = ("sensors/8", json.dumps({"device": "busy", "temp": 30}), 1, False)

    def rate() -> str:
        mqtt_publish.multiple([message] * 50, hostname=mqtt.host, port=mqtt.port)
        page.wait_for_timeout(300)
        return str(page.locator(f"#rate-{id}").text_content())

    until(rate, lambda text: "B/s →" in text)
    page = show(linked, f"/deployments/{DEPLOYMENT}/private-links/{LINK}")
    browsing.expected(page.get_by_text("sent in all")).to_be_visible()
    browsing.expected(page.locator(".chart path").first).to_be_attached()
