"""docs/api.md is what the interface says of itself."""

from __future__ import annotations

from pathlib import Path

from tieline.cloud.api.reference import page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "api.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run: python -m tieline.cloud.api.reference > docs/api.md"
