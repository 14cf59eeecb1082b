"""The page of resources is what the kinds say, and names what each was tried with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tieline.integration.sinks import ACTIONS, KINDS
from tieline.integration.sinks.base.kind import Kind
from tieline.integration.sinks.reference import page

DOCS = Path(__file__).parents[3] / "docs" / "resources.md"


def test_the_page_is_up_to_date() -> None:
    assert DOCS.read_text() == page(), "run python -m tieline.integration.sinks.reference > docs/resources.md"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.type))
def test_a_kind_says_everything(kind: Kind) -> None:
    assert kind.label
    assert kind.test
    assert kind.tried
    assert f"## {kind.label}: `{kind.type}`\n" in page()
    for field in kind.fields():
        assert f"| `{field.name}` |" in page()
    for tag in kind.action_kinds:
        assert f"Action `{tag}`. " in page()
        assert tag in ACTIONS
