"""The audit log: who changed what from where, the newest first, page by page."""

from __future__ import annotations

import json
from typing import Any

from tieline.client.rest import ClientError
from tieline.cloud.agents.dead_letters import LETTER
from tieline.cloud.store.audit import AuditEntry
from tieline.cloud.store.retention import SETTING
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk, words

KINDS = (
    "deployment",
    "link",
    "resource",
    "rule",
    LETTER,
    "mqtt-user",
    "user",
    "api-key",
    "webhook",
    "session",
    SETTING,
)


class Log:
    """The log with its questions: who, what kind, which record."""

    def __init__(self, view: Desk) -> None:
        self._view = view
        self._cursor: str | None = ""
        self._turn = 0  # of what was asked last; an answer that somebody did not wait for is not shown
        with parts.card(), parts.tag("div", "grid"):
            self._who = parts.field("Who")
            self._kind = parts.choice("Kind", {"": "all", **{kind: kind for kind in KINDS}}, "")
            self._record = parts.field("Id or name of the record")
            for typed in (self._who, self._record):
                typed.on("keydown.enter", self.look)
            with parts.row():
                parts.button("Search", self.look)
        self._found = parts.stack()
        with parts.row():
            self._older = parts.button("Older changes", self._more, kind="other")

    async def look(self) -> None:
        """Show the newest that are asked for."""
        self._cursor = ""
        await self._more()

    async def _more(self) -> None:
        self._turn = turn = self._turn + 1
        asked: dict[str, Any] = {"who": self._who.value, "kind": self._kind.value, "record": self._record.value}
        asked = {name: value.strip() for name, value in asked.items()} | {"cursor": self._cursor, "limit": 50}
        page = await self._view.act(lambda client: client.audit(**asked), self._refuse)
        if page is None or turn != self._turn:
            return
        if first := not self._cursor:
            self._found.clear()
        self._cursor = page.next_cursor
        self._older.set_visibility(bool(page.next_cursor))
        with self._found:
            if page.entries:
                with parts.card(), parts.table(("When", "Who", "What", "From"), "Audit log"):
                    for entry in page.entries:
                        _row(entry)
            elif first:
                parts.say("Nothing was changed that fits.", "muted")

    def _refuse(self, error: ClientError) -> None:
        self._found.clear()
        with self._found:
            parts.problem(words(error))


def told(entry: AuditEntry) -> str:
    """What was done to what: a letter has no name, and is told by its deployment's; of a setting there is one. Pure."""
    if entry.kind == entry.name == SETTING:
        return f"{entry.action} {SETTING}"
    if entry.kind != LETTER:
        return f"{entry.action} {entry.kind} {entry.name}"
    count = (entry.after or {}).get("letters", 1)
    return f"{entry.action} {LETTER if count == 1 else f'{count} {LETTER}s'} of {entry.name}"


def _row(entry: AuditEntry) -> None:
    with parts.tag("tr"):
        parts.tag("td", "muted", parts.when(entry.at))
        parts.tag("td", text=f"{entry.who} ({entry.means})")
        with parts.tag("td"):
            if entry.before or entry.after:
                with parts.tag("details"):
                    parts.tag("summary", text=told(entry))
                    _values("before", entry.before)
                    _values("after", entry.after)
            else:
                parts.tag("span", text=told(entry))
        parts.tag("td", "muted", entry.source)


def _values(when: str, values: dict[str, Any] | None) -> None:
    if values:
        parts.say(when, "muted")
        parts.tag("pre", text=json.dumps(values, indent=1, ensure_ascii=False))
