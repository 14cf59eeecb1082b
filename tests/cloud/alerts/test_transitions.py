"""Which changes are told: of links each, of resources those that somebody saw."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from tieline.cloud.alerts.transitions import ABSENT, UNKNOWN, State, assumed, changes, remembered, states
from tieline.cloud.model.records import Address, Deployment
from tieline.cloud.tls.certificates import self_signed

AT = "2026-01-01T00:00:00.000Z"


def link(status: str, reason: str = "") -> dict[str, State]:
    return {"pl-1": State("link", "plant", "orders", status, reason)}


def resource(status: str, reason: str = "") -> dict[str, State]:
    return {"res-1": State("resource", "plant", "db", status, reason)}


def certificate(status: str) -> dict[str, State]:
    return {"dep-1 certificate": State("certificate", "plant", "plant", status)}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, link("creating"), [(ABSENT, "creating")]),
        (link("running"), link("running"), []),
        (link("running"), link("failed", "rejected"), [("running", "failed")]),
        (link("failed", "rejected"), link("failed", "service_removed"), [("failed", "failed")]),
        (link("deleting"), {}, [("deleting", ABSENT)]),
        (resource("connected"), resource("disconnected", "refused"), [("connected", "disconnected")]),
        (resource("disconnected", "refused"), resource("disconnected", "timeout"), []),
        ({}, certificate("good"), []),
        ({}, certificate("ending"), [(ABSENT, "ending")]),
        (certificate("ended"), certificate("good"), [("ended", "good")]),
    ],
)
def test_what_is_told(before: dict[str, State], after: dict[str, State], told: list[tuple[str, str]]) -> None:
    found = changes(before, after, AT)
    assert [(alert.before, alert.after) for alert in found] == told
    assert {alert.at for alert in found} <= {AT}


def test_a_first_look_tells_of_certificates_that_end_and_of_nothing_else() -> None:
    first = certificate("ending") | link("failed", "rejected") | resource("disconnected")
    assert [(one.name, one.before, one.after) for one in changes(assumed(first), first, AT)] == [
        ("plant", "good", "ending")
    ]
    assert changes(assumed(certificate("good")), certificate("good"), AT) == []


def test_an_agent_that_is_away_is_no_change_of_its_resources() -> None:
    away = remembered(resource("connected"), resource(UNKNOWN))
    assert changes(resource("connected"), away, AT) == []
    back = remembered(away, resource("disconnected"))
    assert [(one.before, one.after) for one in changes(away, back, AT)] == [("connected", "disconnected")]


@pytest.mark.parametrize(("ours", "told"), [(False, [("good", "ending"), ("ending", "ended")]), (True, [])])
def test_the_end_of_a_certificate_is_told_where_nobody_renews_it(ours: bool, told: list[tuple[str, str]]) -> None:
    begun, place = datetime(2026, 1, 1, tzinfo=UTC), Address(host="127.0.0.1", port=1)
    made = self_signed("x", ["localhost"], begun)
    plant = Deployment(
        id="dep-1",
        name="plant",
        project="east",
        provider="external",
        mqtt=place,
        mqtts=place,
        broker=place,
        token_hash="",
        created=AT,
        certificate=made.chain,
        authority=made.authority,
        authority_key="known" if ours else "",
    )
    days = [states([plant], [], [], {}, begun + timedelta(days=day)) for day in (800, 812, 826)]
    alerts = [alert for two in itertools.pairwise(days) for alert in changes(*two, AT)]
    assert [(alert.before, alert.after) for alert in alerts] == told
    assert {(alert.kind, alert.project, alert.name) for alert in alerts} <= {("certificate", "east", "plant")}
    assert all("--chain" in alert.hint and alert.reason == "until 2028-04-05" for alert in alerts)
