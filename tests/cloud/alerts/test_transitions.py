"""Which changes are told: of links each, of resources those that somebody saw."""

from __future__ import annotations

import pytest

from tieline.cloud.alerts.transitions import ABSENT, UNKNOWN, State, changes, remembered

AT = "2026-01-01T00:00:00.000Z"


def link(status: str, reason: str = "") -> dict[str, State]:
    return {"pl-1": State("link", "plant", "orders", status, reason)}


def resource(status: str, reason: str = "") -> dict[str, State]:
    return {"res-1": State("resource", "plant", "db", status, reason)}


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
    ],
)
def test_what_is_told(before: dict[str, State], after: dict[str, State], told: list[tuple[str, str]]) -> None:
    found = changes(before, after, AT)
    assert [(alert.before, alert.after) for alert in found] == told
    assert {alert.at for alert in found} <= {AT}


def test_an_agent_that_is_away_is_no_change_of_its_resources() -> None:
    away = remembered(resource("connected"), resource(UNKNOWN))
    assert changes(resource("connected"), away, AT) == []
    back = remembered(away, resource("disconnected"))
    assert [(one.before, one.after) for one in changes(away, back, AT)] == [("connected", "disconnected")]
