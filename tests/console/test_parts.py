"""What needs no browser: cookies, the text of the picture, lists that are redrawn, editors, choices, the audit log."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as ElementTree
from collections import Counter

import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st
from nicegui import Client as Page
from nicegui import ui

from tieline.base.secrets import Vault
from tieline.client.rest import ClientError
from tieline.cloud.agents.dead_letters import LETTER
from tieline.cloud.model.records import Address, LinkStatus, PrivateLinkView
from tieline.cloud.schemas.answers import AgentView, DeploymentAnswer
from tieline.cloud.store.audit import AuditEntry
from tieline.console.frame import parts
from tieline.console.frame.editor import editor, mark
from tieline.console.frame.rows import Rows
from tieline.console.live.snapshot import Inside, Snapshot
from tieline.console.pages.access import audit
from tieline.console.pages.home.map import LINKS, draw
from tieline.console.session import leaving
from tieline.console.session.credentials import SECONDS, Keys, Person, opened, seal

NOW = 1_800_000_000.0
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=60)


@pytest.fixture
def vault() -> Vault:
    return Vault(Fernet.generate_key())


def test_a_sealed_credential_opens_until_its_time_is_over(vault: Vault) -> None:
    person = Person("Authorization", "Bearer tlk_x")
    cookie = seal(vault, person, NOW)
    assert "tlk_x" not in cookie
    assert opened(vault, cookie, Person, NOW + SECONDS - 1) == person
    assert opened(vault, cookie, Person, NOW + SECONDS + 1) is None


def test_nothing_else_opens(vault: Vault) -> None:
    keys = seal(vault, Keys("AKIA", "secret"), NOW)
    other = Vault(Fernet.generate_key())
    for cookie in (None, "", "x", seal(other, Person("a", "b"), NOW), keys):
        assert opened(vault, cookie, Person, NOW) is None


def inside(name: str = "plant", links: tuple[PrivateLinkView, ...] = ()) -> Inside:
    deployment = DeploymentAnswer.model_construct(
        id="dep-1", name=name, provider="fabric", status="running", reason=None, hint="", cidr="10.0.0.0/16", vpc="",
        subnets=(), instance="", mqtt=Address(host="127.0.0.1", port=1883), created="", history=(), revision=1,
        agent=AgentView(),
    )  # fmt: skip
    return Inside(deployment, links)


def link(name: str, status: LinkStatus = LinkStatus.RUNNING) -> PrivateLinkView:
    return PrivateLinkView.model_construct(
        id=name, deployment="dep-1", name=name, service_name=f"com.amazonaws.vpce.r.{name}", status=status, address="",
        ports=(5432,),
    )  # fmt: skip


@settings(deadline=None)
@given(texts, texts)
def test_any_text_stays_text_in_the_picture(deployment: str, name: str) -> None:
    picture = ElementTree.fromstring(draw(Snapshot((inside(deployment, (link(name),)),)), "/console"))
    assert {element.tag.rpartition("}")[2] for element in picture.iter()} <= {
        "svg", "a", "rect", "text", "g", "path", "circle",
    }  # fmt: skip


def test_a_thousand_links_are_counted_and_those_in_trouble_drawn() -> None:
    links = tuple(link(f"l{n}") for n in range(1000))
    picture = draw(Snapshot((inside(links=(*links, link("bad", LinkStatus.FAILED))),)), "/console")
    assert f"and {1001 - LINKS} more" in picture
    assert "/private-links/bad" in picture
    assert len(picture) < 20_000


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), max_size=8), max_size=6))
async def test_a_list_draws_the_rows_that_are_new_and_no_other(states: list[list[int]]) -> None:
    with Page(ui.page(""), request=None) as page:
        place = ui.element("ul")
        drawn: list[int] = []

        def render(item: int) -> ui.element:
            drawn.append(item)
            return ui.element("li").mark(str(item))

        rows = Rows(place, render)
        before: Counter[int] = Counter()
        for items in states:
            drawn.clear()
            rows.show(items)
            assert [row._markers for row in place.default_slot.children] == [[str(item)] for item in items]
            assert Counter(drawn) == Counter(items) - before
            before = Counter(items)
        page.delete()


async def test_a_click_on_what_a_redraw_has_just_taken_away_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "SECONDS", 0.05)
    heard: list[str] = []
    with Page(ui.page(""), request=None) as page:
        place = ui.element("div")
        with place:
            button = ui.button("Accept", on_click=lambda: heard.append("accepted"))
        (listener,) = button._event_listeners.values()

        def click() -> None:
            page.handle_event({"id": button.id, "listener_id": listener.id, "args": []})

        leaving.leave(place, place)
        assert list(place) == []
        click()
        assert heard == ["accepted"]
        async with asyncio.timeout(30):
            while button.id in page.elements:
                await asyncio.sleep(0.01)
        click()
        assert heard == ["accepted"]
        page.delete()


async def test_what_is_marked_in_an_editor_is_sent_without_its_text() -> None:
    with Page(ui.page(""), request=None) as page:
        made = editor("SELECT x FORM y", "SQL", "SQL")
        page.outbox.updates.clear()
        mark(made, ClientError("WRONG_SQL", "not FORM", extra={"line": 1, "column": 10}))
        mark(made, None)
        assert made.id not in page.outbox.updates
        page.delete()


async def test_what_is_chosen_stays_when_other_things_can_be_chosen() -> None:
    with Page(ui.page(""), request=None) as page:
        one = parts.choice("Group", {"a": "A", "b": "B"}, "b")
        several = parts.choice("Zones", {"a": "A", "b": "B"}, ["b"], many=True)
        for options, single, many in (
            ({"b": "B", "c": "C"}, "b", ["b", "c"]),
            ({"c": "C"}, "c", ["c"]),
            ({}, None, []),
            ({"d": "D"}, "d", ["d"]),
        ):
            for chosen in (one, several):
                parts.offer(chosen, options)
            assert (one.value, several.value) == (single, many)
        page.delete()


def test_the_audit_log_tells_of_letters_by_number_and_deployment() -> None:
    def entry(action: str, kind: str, after: dict[str, object] | None) -> AuditEntry:
        return AuditEntry(
            who="ada", means="user", source="127.0.0.1", id="1", at="2026-01-01T00:00:00.000Z", action=action,
            kind=kind, record="", name="plant", after=after,
        )  # fmt: skip

    assert audit.told(entry("changed", "rule", {"sql": "…"})) == "changed rule plant"
    assert audit.told(entry("changed", "retention", {}).model_copy(update={"name": "retention"})) == "changed retention"
    assert audit.told(entry("discarded", LETTER, {"letters": 3, "ids": []})) == "discarded 3 dead letters of plant"
    assert audit.told(entry("replayed", LETTER, {"letters": 1, "ids": []})) == "replayed dead letter of plant"
    assert audit.told(entry("corrected", LETTER, {"fields": ["payload"]})) == "corrected dead letter of plant"
