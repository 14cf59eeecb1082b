"""An INSERT that leaves out rows which are there already, by the message's id in a unique column of its own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from tieline.integration.messages.message import ROW_ID
from tieline.integration.rules.values.errors import TemplateError

COLUMN: Final = ROW_ID
_HEAD: Final = re.compile(
    r"""\s*insert\s+into\s+(?P<table>[\w."`$]+)\s*\((?P<columns>[\w\s,"`$]+)\)\s*values\s*\(""", re.IGNORECASE
)


class Once(NamedTuple):
    """A template that writes each message once, and the table that needs the column, as the template names it."""

    table: str
    sql: str


def once(template: str, closing: Callable[[str, int], int], tail: str) -> Once:
    """The template with the column, and `tail` to say what becomes of a row that is there; raises TemplateError.

    `closing` finds the parenthesis that closes the one before a place, in the database's grammar.
    """
    head = _HEAD.match(template)
    end = closing(template, head.end()) if head else -1
    if head is None or end < 0 or template[end + 1 :].strip(" \n\t;"):
        raise TemplateError("exactly once takes insert into table(columns) values (…), and nothing behind it")
    columns, values = template[: head.end("columns")], template[head.end("columns") : end]
    return Once(head["table"], f"{columns}, {COLUMN}{values}, ${{{ROW_ID}}}) {tail}")
