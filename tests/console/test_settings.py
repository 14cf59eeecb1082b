"""Settings by clicking: what is kept how long, and both certificates of a TLS listener."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from console import browsing
from console.walk import sign_in
from servers import free_port
from tieline.client.rest import Client
from tieline.cloud.store.retention import FOR_EVER, RetentionView
from tieline.console.pages.settings.retention import LABELS, shorter
from world.running import Tieline, until

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]


@pytest.fixture
def page(chromium: Any, tieline: Tieline) -> Iterator[Any]:
    made = browsing.page_of(chromium)
    sign_in(made, f"{tieline.rest}/console", (tieline.state / "api-key").read_text().strip())
    yield settings(made, tieline)
    made.context.close()


def settings(page: Any, tieline: Tieline) -> Any:
    page.goto(f"{tieline.rest}/console/settings")
    browsing.expected(page.locator("#content:not([disabled])")).to_be_visible()
    return page


def field(page: Any, name: str) -> Any:
    return page.get_by_label(LABELS[name])


def save(page: Any) -> None:
    page.get_by_role("button", name="Save what is kept").click()


def test_every_setting_has_a_field() -> None:
    assert list(LABELS) == list(RetentionView.model_fields)


def test_what_would_be_removed_is_known_before_it_is() -> None:
    known = RetentionView(audit_days=FOR_EVER, history_entries=100)
    assert shorter(known, {"audit_days": 3650, "traffic_minutes": 6}) == ["Audit log"]
    assert shorter(known, {"history_entries": None}) == ["History of a deployment or link"]
    assert shorter(RetentionView(audit_days=90), {"audit_days": FOR_EVER, "metrics_minutes": None}) == []


def test_retention_is_refused_at_its_field_confirmed_where_it_removes_and_seen_by_others(
    tieline: Tieline, client: Client, page: Any
) -> None:
    other = settings(page.context.new_page(), tieline)
    try:
        field(page, "audit_days").fill("5")
        field(page, "traffic_minutes").fill("7")
        save(page)
        page.get_by_label("Type retention to confirm").fill("retention")
        page.get_by_role("dialog").get_by_role("button", name="Keep less").click()
        place = page.locator("label.q-field", has=field(page, "audit_days"))
        browsing.expected(place.get_by_role("alert")).to_contain_text("30 days at least")
        assert client.retention() == RetentionView()
        field(page, "audit_days").fill("400")
        save(page)
        page.get_by_role("button", name="Keep it").click()
        browsing.expected(page.get_by_role("dialog")).to_have_count(0)
        assert client.retention() == RetentionView()
        save(page)
        page.get_by_label("Type retention to confirm").fill("retention")
        page.get_by_role("dialog").get_by_role("button", name="Keep less").click()
        browsing.expected(page.get_by_text("Saved.")).to_be_visible()
        assert client.retention() == RetentionView(audit_days=400, traffic_minutes=7)
        browsing.expected(field(other, "audit_days")).to_have_value("400")
        (entry,) = client.audit(kind="retention", limit=1).entries
        assert entry.after is not None and entry.after["audit_days"] == 400
        field(other, "traffic_minutes").fill("")
        field(other, "audit_days").fill("0")
        save(other)
        other.get_by_label("Type retention to confirm").fill("retention")
        other.get_by_role("dialog").get_by_role("button", name="Keep less").click()
        until(client.retention, lambda found: found == RetentionView())
        browsing.expected(field(page, "traffic_minutes")).to_have_value("5")
    finally:
        unset: dict[str, Any] = dict.fromkeys(LABELS)
        client.change_retention(**unset)


def test_both_certificates_of_a_listener_are_told(client: Client, page: Any) -> None:
    def create(name: str) -> Any:
        addresses = {kind: {"host": "127.0.0.1", "port": free_port()} for kind in ("mqtt", "mqtts")}
        return client.create_deployment(name=name, provider="external", **addresses)

    made = create("encrypted")
    try:
        assert made.tls_certificate is not None
        browsing.expected(page.get_by_text(f"The server's certificate {made.tls_certificate}")).to_be_visible()
        page.get_by_role("button", name="Show the certificate of encrypted").click()
        browsing.expected(page.get_by_text("What devices verify it with: the authority CN=")).to_be_visible()
        browsing.expected(page.locator("pre", has_text="BEGIN CERTIFICATE")).to_be_visible()
        create("also-encrypted")
        browsing.expected(page.get_by_text("also-encrypted, 127.0.0.1")).to_be_visible()
        browsing.expected(page.locator("pre", has_text="BEGIN CERTIFICATE")).to_be_visible()  # what is shown stays
    finally:
        for one in client.deployments():
            if one.name.endswith("encrypted"):
                client.delete_deployment(one.name)
        until(client.deployments, lambda found: not [one for one in found if one.name.endswith("encrypted")])
