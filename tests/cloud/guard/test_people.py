"""Users, keys, projects and sessions on a running platform: who gets in, who does not, and what ends it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from platforms import PlatformProcess
from servers import free_port
from tieline.cloud.guard.limits import KEYS, LOGIN, Limit

PASSWORD = "correct horse battery"


def client(platform: PlatformProcess, key: str = "") -> httpx.Client:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(base_url=f"{platform.url}/api/v1", headers=headers, trust_env=False, timeout=60)


@pytest.fixture
def user(http: httpx.Client) -> Iterator[dict[str, Any]]:
    body = {"name": f"ada-{secrets.token_hex(4)}", "password": PASSWORD, "role": "operator"}
    made = http.post("/users", json=body)
    assert made.status_code == 201, made.text
    assert PASSWORD not in made.text
    yield made.json()
    http.delete(f"/users/{made.json()['id']}")


@pytest.fixture
def browser(platform: PlatformProcess) -> Iterator[httpx.Client]:
    with client(platform) as connected:
        yield connected


def login(browser: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    return browser.post("/session", json={"name": name, "password": password})


def until_refused(guess: Callable[[int], httpx.Response], limit: Limit) -> list[httpx.Response]:
    """The answers to guesses until one has to wait: as many as the limit says, and one for each that it gave back."""
    began, answers = time.monotonic(), [guess(0)]
    while answers[-1].status_code == 401:
        given_back = (time.monotonic() - began) / limit.seconds
        assert len(answers) <= limit.burst + given_back + 1
        answers.append(guess(len(answers)))
    assert (answers[-1].status_code, answers[-1].json()["code"]) == (429, "TOO_MANY_ATTEMPTS")
    assert len(answers) > limit.burst
    return answers


def test_a_session_from_login_to_logout(
    http: httpx.Client, browser: httpx.Client, user: dict[str, Any], platform: PlatformProcess
) -> None:
    assert browser.get("/session").status_code == 401
    answer = login(browser, user["name"])
    assert answer.json() == {"name": user["name"], "means": "user", "role": "operator", "projects": ["*"]}
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert browser.get("/deployments").status_code == 200
    assert browser.post("/users", json={}).status_code == 403
    token = browser.cookies["tieline_session"]
    for name in ("cloud.db", "cloud.db-wal"):
        found = (platform.state / name).read_bytes()
        assert token.encode() not in found
        assert PASSWORD.encode() not in found
    assert browser.delete("/session").status_code == 204
    browser.cookies.set("tieline_session", token)
    assert browser.get("/session").status_code == 401


def test_another_site_can_do_nothing_with_the_cookie(browser: httpx.Client, user: dict[str, Any]) -> None:
    login(browser, user["name"])
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert browser.delete("/session", headers=headers).status_code == 403
    own = f"http://{browser.base_url.netloc.decode()}"
    assert browser.delete("/session", headers={"Origin": own, "Sec-Fetch-Site": "same-origin"}).status_code == 204


def test_a_new_password_ends_the_other_sessions(
    platform: PlatformProcess, browser: httpx.Client, user: dict[str, Any]
) -> None:
    login(browser, user["name"])
    with client(platform) as other:
        login(other, user["name"])
        wrong = other.put("/session/password", json={"old": "wrong", "new": PASSWORD + "!"})
        assert (wrong.status_code, wrong.json()["code"]) == (403, "WRONG_PASSWORD")
        short = other.put("/session/password", json={"old": PASSWORD, "new": "short"})
        assert short.status_code == 422
        assert other.put("/session/password", json={"old": PASSWORD, "new": PASSWORD + "!"}).status_code == 204
        assert other.get("/session").status_code == 200
        assert browser.get("/session").status_code == 401
        assert login(browser, user["name"]).status_code == 401
        assert login(browser, user["name"], PASSWORD + "!").status_code == 200


def test_guessing_is_slowed_down_for_who_guesses(browser: httpx.Client, user: dict[str, Any]) -> None:
    answers = until_refused(lambda number: login(browser, user["name"], f"guess {number}"), LOGIN)
    wait, asked = int(answers[-1].headers["Retry-After"]), time.monotonic()
    assert wait > 0
    right = login(browser, user["name"])  # is refused, too, or guessing would go on
    assert right.status_code == 429 or time.monotonic() - asked > wait - 1
    same = [login(browser, f"nobody-{secrets.token_hex(4)}", "x").json() for _ in range(2)]
    assert same[0] == same[1] == answers[0].json()  # nobody learns which names exist


def test_a_key_lives_until_it_is_revoked(platform: PlatformProcess, http: httpx.Client) -> None:
    made = http.post("/keys", json={"name": f"ci-{secrets.token_hex(4)}", "role": "auditor", "days": 1}).json()
    assert made["expires"]
    with client(platform, made["key"]) as program:
        assert program.get("/deployments").status_code == 200
        assert made["key"] not in http.get("/keys").text
        assert http.delete(f"/keys/{made['id']}").status_code == 204
        assert program.get("/deployments").status_code == 401


def test_somebody_always_remains_who_may_do_everything(http: httpx.Client) -> None:
    own = next(key for key in http.get("/keys").json()["keys"] if key["name"] == "admin")
    refused = http.delete(f"/keys/{own['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "LAST_ADMINISTRATOR")


def test_a_project_is_a_wall(platform: PlatformProcess, http: httpx.Client) -> None:
    mark = secrets.token_hex(4)
    bodies = [{"name": f"{project}-{mark}", "project": f"{project}-{mark}", "provider": "external"} for project in "ab"]
    for body in bodies:
        mqtt = {"host": "127.0.0.1", "port": free_port()}
        assert http.post("/deployments", json={**body, "mqtt": mqtt}).status_code == 201
    own, foreign = (body["name"] for body in bodies)
    grant = {"name": f"admin-{mark}", "role": "administrator", "projects": [f"a-{mark}"]}
    made = http.post("/keys", json=grant).json()
    with client(platform, made["key"]) as inside:
        assert [item["name"] for item in inside.get("/deployments").json()["deployments"]] == [own]
        assert inside.get(f"/deployments/{own}").status_code == 200
        for path in ("", "/rules", "/resources", "/private-links"):
            assert inside.get(f"/deployments/{foreign}{path}").status_code == 404
        assert inside.patch(f"/deployments/{own}", json={"project": f"b-{mark}"}).status_code == 403
        assert inside.post("/deployments", json={**bodies[1], "name": "other"}).status_code == 403
        hook = {"name": f"hook-{mark}", "url": "https://alerts.example.com/tieline"}
        assert inside.post("/alerts", json={**hook, "projects": ["default"]}).status_code == 403
        assert inside.post("/alerts", json=hook).json()["projects"] == [f"a-{mark}"]
        general = http.post("/alerts", json={**hook, "name": f"all-{mark}"}).json()
        assert [one["name"] for one in inside.get("/alerts").json()["alerts"]] == [hook["name"]]
        assert inside.delete(f"/alerts/{general['id']}").status_code == 404
        for name in (hook["name"], general["name"]):
            assert http.delete(f"/alerts/{name}").status_code == 204
        more = inside.post("/keys", json={"name": f"more-{mark}", "role": "operator", "projects": ["default"]})
        assert more.status_code == 403
        assert http.patch(f"/deployments/{foreign}", json={"description": "x"}).status_code == 200
        seen = {tuple(entry["projects"]) for entry in inside.get("/audit").json()["entries"]}
        assert seen == {(f"a-{mark}",)}
        assert [key["name"] for key in inside.get("/keys").json()["keys"]] == [f"admin-{mark}"]
    http.delete(f"/keys/{made['id']}")
    for body in bodies:
        http.delete(f"/deployments/{body['name']}")


def test_a_wrong_key_is_refused_and_then_asked_to_wait(tmp_path: Any) -> None:
    with PlatformProcess(tmp_path / "cloud") as platform, client(platform) as guesser, client(platform) as known:
        known.headers["Authorization"] = f"Bearer {platform.key}"
        until_refused(
            lambda number: guesser.get("/deployments", headers={"Authorization": f"Bearer tlk_{number}"}), KEYS
        )
        assert known.get("/deployments").status_code == 200


@pytest.mark.parametrize("password", ["a" * 12, "ab" * 10, "1212121212 12", "\u00e9" * 30, "aaaaaaaaaaab"])
def test_a_password_of_one_letter_or_few_is_refused(http: httpx.Client, password: str) -> None:
    made = http.post("/users", json={"name": "lazy", "password": password})
    assert made.status_code == 422 and "different characters" in made.text and password not in made.text
    assert "lazy" not in [user["name"] for user in http.get("/users").json()["users"]]
