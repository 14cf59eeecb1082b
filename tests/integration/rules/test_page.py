"""Every example of docs/rules.md gives what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tieline.integration.messages.events import EVENTS
from tieline.integration.messages.message import FIELDS
from tieline.integration.rules.compile.compile import rule_test

PAGE = (Path(__file__).parents[3] / "docs" / "rules.md").read_text()
EXAMPLES = re.findall(r"```sql\n(.*?)```\n```json\n(.*?)```\n```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("sql", "context", "result"), EXAMPLES)
def test_an_example_gives_what_it_says(sql: str, context: str, result: str) -> None:
    assert rule_test(sql, json.loads(context)) == json.loads(result)


def test_every_field_and_event_is_named() -> None:
    assert len(EXAMPLES) == PAGE.count("```sql")
    missing = [name for name in (*FIELDS, *EVENTS) if f"`{name}" not in PAGE]
    assert missing == []
