"""Why a record does not run: a fixed list, each with what helps, and the pages name them all and no others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tieline.cloud.deployments import plan as deployments
from tieline.cloud.links import states
from tieline.cloud.model.records import Reason

DOCS = Path(__file__).resolve().parents[3] / "docs"
ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
PAGES: dict[str, Mapping[Reason, str]] = {"links.md": states.HINTS, "deployments.md": deployments.HINTS}


@pytest.mark.parametrize("page", PAGES)
def test_the_page_names_every_reason_and_no_other(page: str) -> None:
    tables = (DOCS / page).read_text().split("| reason |")
    assert len(tables) == 2
    named = ROW.findall(tables[1].split("\n\n")[0])
    assert named == sorted(set(named), key=named.index)
    assert set(named) == {reason.value for reason in PAGES[page]}


def test_every_reason_is_somebodys() -> None:
    assert {reason for hints in PAGES.values() for reason in hints} == set(Reason)


@pytest.mark.parametrize("reason", states.HINTS)
def test_a_links_hint_is_complete(reason: Reason) -> None:
    told = states.hint(
        reason, service_name="com.amazonaws.vpce.us-east-1.vpce-svc-1", endpoint="vpce-1", principal="arn"
    )
    assert told
    assert not re.search(r"[{}]", told)


def test_whatever_is_shown_or_refused_has_its_words() -> None:
    shown = {reason for _, reason in states.ENDPOINT_STATES.values() if reason} | set(states.REFUSALS.values())
    assert shown | states.PASSING <= set(states.HINTS)
    assert {reason for _, reason in deployments.INSTANCE_STATES.values() if reason} <= set(deployments.HINTS)
