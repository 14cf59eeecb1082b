"""`docs/security.md` says what the limits are, and names tests that are there."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from tieline.base.http.limits import Limits

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
ELSEWHERE = {"body_bytes"}  # each server's own


def rows() -> dict[str, str]:
    """Each row of the table by the field that it names."""
    found = {}
    for line in PAGE.splitlines():
        if named := re.search(r"^\| [^|]+\(`([a-z_]+)`\) \| ([^|]+) \|", line):
            found[named[1]] = named[2]
    return found


def test_each_limit_is_in_the_table_with_its_value() -> None:
    limits, told = Limits(body_bytes=1), rows()
    assert told.keys() == {field.name for field in fields(Limits)} - ELSEWHERE
    for name, text in told.items():
        value = getattr(limits, name)
        assert re.match(rf"{value:g}\b" if value < 1000 else rf"{value}\b", text), (name, value, text)


def test_every_test_that_the_page_names_is_there() -> None:
    files = set(re.findall(r"`(tests/[\w/]+\.py)`", PAGE))
    assert len(files) > 20
    assert [path for path in files if not (ROOT / path).is_file()] == []
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in re.findall(r"`(test_\w+)`", PAGE) if f"def {name}(" not in here] == []
