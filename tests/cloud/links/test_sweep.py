"""Which endpoints are looked at again: those that an answer shows changed, or leaves out without reason."""

from __future__ import annotations

import pytest

from tieline.cloud.links.states import ENDPOINT_STATES
from tieline.cloud.links.sweep import AVAILABLE, OTHERS, changed


@pytest.mark.parametrize(
    ("known", "present", "whole", "told"),
    [
        ("available", "available", True, False),
        ("available", None, True, True),  # gone
        ("available", None, False, False),  # available is not asked for
        ("available", "rejected", False, True),
        ("pending", None, False, True),  # it became available, or is gone
        ("pending", "pending", False, False),
        ("rejected", "rejected", False, False),
        ("deleted", None, True, False),
        ("deleted", None, False, False),
        ("", "pendingacceptance", False, True),
    ],
)
def test_what_is_looked_at_again(known: str, present: str | None, whole: bool, told: bool) -> None:
    assert changed(known, present, whole) is told


def test_every_state_but_one_is_asked_for() -> None:
    assert {state.lower() for state in OTHERS} == set(ENDPOINT_STATES) - {AVAILABLE}
