"""What hostile text does in any field of the console, whoever typed or sent it: nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import paho.mqtt.publish as mqtt_publish
import pytest

from console import browsing
from console.walk import DEPLOYMENT, Walk, sign_in
from tieline.client.rest import Client
from world.running import Tieline, until

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]
HOSTILE = '"><img src=x onerror="window.hacked=1"><script>window.hacked=1</script>${{7*7}}'
NAME = "injected"
FORMS = (
    "/deployments/new",
    "/deployments/new?provider=aws",
    "/deployments/new?provider=external",
    "{inside}/resources/new",
    "{inside}/resources/db",
    "{inside}/rules/new",
    "{inside}/rules/rule",
    "{inside}?tab=users",
    "/access",
    "/access?tab=keys",
    "/settings",
)
PROVIDER_FORMS = ("/provider/target-groups", "/provider/load-balancers", "/provider/endpoint-services")
FIELDS = ", ".join(f"#content {what}:visible" for what in ("input[type=text]", "input[type=password]", "textarea"))
BUTTONS = (
    "Test", "Create deployment", "Create PrivateLink", "Create Resource", "Create rule", "Save", "Create MQTT user",
    "Create user", "Create API key", "Create webhook", "Create target group", "Create load balancer", "Allow principal",
)  # fmt: skip


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    made = browsing.page_of(chromium)
    yield made
    made.context.close()


def test_hostile_text_in_every_field_stays_text(tieline: Tieline, client: Client, page: Any) -> None:
    url = f"{tieline.rest}/console"
    client.create_deployment(name=NAME, provider="external", mqtt={"host": "127.0.0.1", "port": 9})
    try:
        store_hostile(client)
        sign_in(page, url, (tieline.state / "api-key").read_text().strip())
        inside = f"/deployments/{NAME}"
        for path in FORMS:
            page.goto(url + path.format(inside=inside))
            assert fill_all(page), path
        for path in ("/", inside, f"{inside}?tab=integration", f"{inside}?tab=monitoring", "/access?tab=audit"):
            page.goto(url + path)
            browsing.expected(page.locator("#content:not([disabled])")).to_be_visible()
            assert not page.evaluate("window.hacked"), path
        page.goto(f"{url}{inside}?tab=integration")
        browsing.expected(page.get_by_text("onerror=").first).to_be_visible()
        assert not page.evaluate("window.hacked")
    finally:
        client.delete_deployment(NAME, cascade=True)
        until(client.deployments, lambda found: NAME not in [one.name for one in found])


def test_hostile_text_in_a_providers_fields_stays_text(linked: Walk) -> None:
    for path in PROVIDER_FORMS:
        linked.provider.goto(linked.url + path)
        assert fill_all(linked.provider), path


def test_hostile_text_in_the_form_of_a_link_stays_text(linked: Walk) -> None:
    linked.consumer.goto(f"{linked.url}/deployments/{DEPLOYMENT}/private-links/new?step=2")
    assert fill_all(linked.consumer)


def test_hostile_text_in_a_letter_stays_text_wherever_it_comes_from(linked: Walk, client: Client) -> None:
    page, mqtt = linked.consumer, client.deployment(DEPLOYMENT).mqtt
    hostile = json.dumps({"device": f"{HOSTILE}\0", "temp": 99})  # no database takes a text with the character 0

    def letters(count: int) -> None:
        until(lambda: client.deployment(DEPLOYMENT).agent.dead_letters, lambda found: found == count)

    def letter() -> str:
        """The one letter that is shown: the name of its button, and with it its id."""
        browsing.expected(page.get_by_label("Payload")).to_have_value(re.compile("onerror="))
        assert not page.evaluate("window.hacked")
        return str(page.get_by_role("button", name="Replay letter").get_attribute("aria-label"))

    def replay(payload: str, told: str) -> None:
        page.get_by_label("Payload").fill(payload)
        page.get_by_role("button", name="Replay letter").click()
        browsing.expected(page.get_by_text(told)).to_be_visible()

    mqtt_publish.single("sensors/9", hostile, qos=1, hostname=mqtt.host, port=mqtt.port)
    try:
        letters(1)
        page.goto(f"{linked.url}/deployments/{DEPLOYMENT}/dead-letters")
        first = letter()
        page.get_by_text("The whole message").click()
        replay(hostile.replace("99", "98"), "1 on their way again")
        browsing.expected(page.get_by_role("button", name=first)).to_have_count(0)
        browsing.expected(page.get_by_label("Payload")).to_have_value(
            re.compile('"temp": 98')
        )  # it came back by itself
        second = letter()
        replay(HOSTILE, "Some stay: the rule does not match this message any more")
        assert letter() == second
        replay(hostile.replace("99", "98"), "1 on their way again")  # as it is shown first, though it is another by now
        browsing.expected(page.get_by_role("button", name=second)).to_have_count(0)
        letter()
    finally:
        client.discard_letters(DEPLOYMENT)
        letters(0)


def store_hostile(client: Client) -> None:
    """Records whose free texts are hostile, made as a script would."""
    login = {"database": HOSTILE, "username": HOSTILE, "password": HOSTILE}
    client.create_resource(NAME, name="db", type="postgresql", server="127.0.0.1:9", **login)
    sql = f"SELECT '{HOSTILE.replace('${{7*7}}', '')}' as a FROM \"t/#\""
    action = {"kind": "sql", "resource": "db", "sql": "insert into t(a) values (${a})"}
    client.create_rule(NAME, name="rule", sql=sql, actions=[action])


def fill_all(page: Any) -> int:
    """Hostile text in each field of a form, and each of its buttons; how many buttons there were."""
    browsing.expected(page.locator("#content:not([disabled])")).to_be_visible()
    editors = 3 if "/rules/" in page.url else 0  # they make themselves a moment later
    browsing.expected(page.locator(".cm-content")).to_have_count(editors)
    for summary in page.locator("#content summary:visible").all():
        summary.click()
    for field in page.locator(FIELDS).all():
        if field.get_attribute("role") != "combobox" and field.is_editable():
            field.fill(HOSTILE)
    for editor in page.locator(".cm-content").all():
        editor.fill(HOSTILE)
    clicked = 0
    for name in BUTTONS:
        button = page.get_by_role("button", name=name, exact=True)
        if button.count():
            button.click()
            clicked += 1
            browsing.expected(page.get_by_role("alert").first).to_be_visible()
    assert not page.evaluate("window.hacked"), page.url
    return clicked
