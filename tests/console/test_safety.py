"""Who is let in, what others are refused, and when an open page closes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from console import browsing
from console.walk import sign_in
from tieline.client.rest import Client
from world.running import Tieline

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]


@pytest.fixture
def key(tieline: Tieline) -> str:
    return (tieline.state / "api-key").read_text().strip()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    made = browsing.page_of(chromium)
    yield made
    made.context.close()


def ask(tieline: Tieline, method: str, path: str, **more: Any) -> httpx.Response:
    return httpx.request(method, f"{tieline.rest}/console{path}", trust_env=False, timeout=30, **more)


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    return {answer.headers["set-cookie"].split("=")[0]: answer.headers["set-cookie"].split("=", 1)[1].split(";")[0]}


def test_nobody_sees_a_page_without_signing_in(tieline: Tieline) -> None:
    for path in ("/", "/deployments", "/deployments/x?tab=monitoring", "/provider/endpoint-services", "/demo"):
        answer = ask(tieline, "GET", path)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/console/sign-in")


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(tieline: Tieline, key: str) -> None:
    answer = ask(tieline, "POST", "/sign-in?next=/deployments", data={"key": key})
    assert answer.headers["location"] == "/console/deployments"
    told = answer.headers["set-cookie"].lower()
    assert "httponly" in told and "samesite=strict" in told and "path=/console" in told
    assert key not in answer.headers["set-cookie"]
    assert ask(tieline, "GET", "/deployments", cookies=cookie_of(answer)).status_code == 200


def test_a_sign_in_leads_nowhere_else(tieline: Tieline, key: str) -> None:
    for there in ("//evil.example", "https://evil.example", "/\\evil.example"):
        location = ask(tieline, "POST", f"/sign-in?next={there}", data={"key": key}).headers["location"]
        assert location.startswith("/console/") and not urlsplit(location).netloc


def test_another_sites_requests_are_refused(tieline: Tieline, key: str) -> None:
    foreign = {"origin": "https://evil.example"}
    assert ask(tieline, "POST", "/sign-in", data={"key": key}, headers=foreign).status_code == 403
    assert ask(tieline, "POST", "/sign-out", headers=foreign).status_code == 403
    assert ask(tieline, "GET", "/_nicegui_ws/socket.io/?EIO=4&transport=polling", headers=foreign).status_code == 403


def test_a_wrong_key_a_changed_cookie_and_a_huge_form_are_nobody(tieline: Tieline, key: str) -> None:
    assert ask(tieline, "POST", "/sign-in", data={"key": f"{key}x"}).status_code == 401
    assert ask(tieline, "POST", "/sign-in", data={"key": "x" * 100_000}).status_code == 401
    good = cookie_of(ask(tieline, "POST", "/sign-in", data={"key": key}))
    changed = {name: value[:-4] + "AAAA" for name, value in good.items()}
    assert ask(tieline, "GET", "/", cookies=changed).status_code == 303


def test_a_revoked_key_closes_the_open_page(tieline: Tieline, client: Client, page: Any) -> None:
    made = client.create_key(name="passing", role="auditor")
    sign_in(page, f"{tieline.rest}/console", made.key)
    client.revoke_key(made.id)
    browsing.expected(page.get_by_label("API key")).to_be_visible()


def test_an_auditor_is_told_that_creating_is_not_allowed(tieline: Tieline, client: Client, page: Any) -> None:
    made = client.create_key(name="auditor", role="auditor")
    try:
        sign_in(page, f"{tieline.rest}/console", made.key)
        page.goto(f"{tieline.rest}/console/deployments/new")
        page.get_by_label("Name", exact=True).fill("never")
        page.get_by_role("button", name="Create deployment").click()
        browsing.expected(page.get_by_role("alert").filter(has_text="may not deployments_create")).to_be_visible()
        assert "never" not in [one.name for one in client.deployments()]
    finally:
        client.revoke_key(made.id)
    browsing.expected(page.get_by_label("API key")).to_be_visible()  # a browser closed on its way there may hang


def test_a_user_signs_in_with_a_password_and_signs_out(tieline: Tieline, client: Client, page: Any) -> None:
    made = client.create_user(name="ada", password="a passphrase of some words", role="operator")
    try:
        page.goto(f"{tieline.rest}/console/")
        page.get_by_text("With name and password").click()
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill("a passphrase of some words")
        page.get_by_role("button", name="Sign in as this user").click()
        browsing.expected(page.get_by_role("heading", name="Overview")).to_be_visible()
        page.get_by_role("button", name="Sign out").click()
        browsing.expected(page.get_by_label("API key")).to_be_visible()
    finally:
        client.delete_user(made.id)
