"""What EMQX answers to a thousand rules, tieline answers too: all but those that docs/rules.md names."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import emqx_cases

PAGE = (Path(__file__).parents[3] / "docs" / "rules.md").read_text()
NAMED = set(re.findall(r"`([a-z]+-[0-9]{3})`", PAGE))


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone in which EMQX answered."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_every_case_is_answered_as_emqx_does_but_those_that_the_page_names() -> None:
    """A change in either direction is seen: what differs now has to be named, what agrees now to go from the page."""
    cases = emqx_cases.load()
    differing = {case.id: case for case in cases if not emqx_cases.agrees(case, emqx_cases.answer(case))}
    declared = {case.id for case in cases if case.declared}
    assert differing.keys() - declared == NAMED
    assert declared <= differing.keys()
    assert len(NAMED) <= 0.01 * (len(cases) - len(declared))
