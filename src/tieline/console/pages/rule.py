"""New rule: SQL in an editor, its error at its place, a sample message and its result side by side, the action."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from nicegui import ui
from starlette.requests import Request

from tieline.cloud.client import ClientError
from tieline.console import parts
from tieline.console.shell import Desk, desk, frame, trail, words

SQL = 'SELECT\n  payload.device as device, payload.temp as temp, timestamp\nFROM "sensors/#"\nWHERE payload.temp > 20'
INSERT = "insert into readings(device, temp, ts) values (${device}, ${temp}, ${timestamp})"
SAMPLE = {"device": "d-1", "temp": 21.5}
TOPIC = "sensors/1"
# What is typed into is an element inside of the editor's, and it is this one that must have the name.
NAMED = """document.querySelectorAll('.nicegui-codemirror').forEach(editor =>
  editor.querySelector('.cm-content').setAttribute('aria-label', editor.getAttribute('aria-label')))"""
PAUSE = 0.5  # seconds without a key before the rule is tried


@ui.page("/deployments/{name}/rules/new", response_timeout=15)
async def new_rule(request: Request, name: str) -> None:
    """The page."""
    view = await desk(request)
    with frame("New rule", "/deployments"):
        trail(("Deployments", "/deployments"), (name, f"/deployments/{name}?tab=integration"))
        parts.heading("New rule", 1)
        Editor(view, name)


class Editor:
    """The form; the rule is tried on the sample whenever something is typed."""

    def __init__(self, view: Desk, deployment: str) -> None:
        self._view, self._deployment = view, deployment
        self._typed = 0
        self._editors: list[ui.codemirror] = []
        with parts.tag("div", "grid"):
            with parts.card("Select"):
                self._name = parts.field("Name", "rule")
                parts.tag("h3", text="SQL")
                self._sql = self._editor(SQL, "SQL", "SQL of the rule")
                self._wrong = parts.stack().props("aria-live=polite")
            with parts.card("Try it"):
                self._topic = parts.field("Topic of the sample message", TOPIC, on_change=self._changed)
                parts.tag("h3", text="Payload")
                self._sample = self._editor(json.dumps(SAMPLE), "JSON", "Payload of the sample message")
                parts.tag("h3", text="Result")
                self._result = parts.stack().props("aria-live=polite")
        with parts.card("Action"):
            self._action()
        ui.timer(0.1, self._begin, once=True)

    async def _begin(self) -> None:
        if await ui.run_javascript("document.body.classList.contains('body--dark')"):
            for editor in self._editors:
                editor.set_theme("vscodeDark")
        await ui.run_javascript(NAMED)
        await self._try()

    def _editor(self, text: str, language: Any, label: str) -> ui.codemirror:
        made = ui.codemirror(text, language=language, line_wrapping=True, on_change=self._changed, theme="vscodeLight")
        self._editors.append(made)
        return made.props(f'aria-label="{label}"')

    def _action(self) -> None:
        resources = [one.name for one in getattr(self._view.now.inside(self._deployment), "resources", ())]
        if not resources:
            parts.empty(
                "There is no resource yet to write to.",
                "New Resource",
                f"/deployments/{self._deployment}/resources/new",
            )
            return
        self._resource = parts.choice("Resource", resources, resources[0])
        parts.tag("h3", text="Statement, with ${field}s of the result")
        self._statement = self._editor(INSERT, "SQL", "Statement of the action")
        self._outcome = parts.stack().props("aria-live=polite")
        with parts.row():
            parts.button("Create rule", self._create)

    async def _changed(self) -> None:
        self._typed = turn = self._typed + 1
        await asyncio.sleep(PAUSE)
        if turn == self._typed:
            await self._try()

    async def _try(self) -> None:
        sql, context = self._sql.value, {"topic": self._topic.value, "payload": self._sample.value}
        self._wrong.clear()
        self._result.clear()
        try:
            result = await self._view.ask(lambda client: client.test_rule(self._deployment, sql=sql, context=context))
        except ClientError as error:
            with self._result if error.status == 412 else self._wrong:
                self._explain(sql, error)
            return
        with self._result:
            parts.tag("pre", text=json.dumps(result, indent=2, ensure_ascii=False))

    def _explain(self, sql: str, error: ClientError) -> None:
        parts.problem(words(error))
        line, column = error.extra.get("line"), error.extra.get("column")
        lines = sql.splitlines()
        if isinstance(line, int) and isinstance(column, int) and 0 < line <= len(lines):
            parts.tag("pre", text=f"{lines[line - 1]}\n{' ' * (column - 1)}▲ line {line}, column {column}")

    async def _create(self) -> None:
        def refuse(error: ClientError) -> None:
            self._outcome.clear()
            with self._outcome:
                self._explain(self._sql.value, error)

        action = {"kind": "sql", "resource": self._resource.value, "sql": self._statement.value}
        wanted = {"name": self._name.value.strip(), "sql": self._sql.value, "actions": [action]}
        made = await self._view.act(lambda client: client.create_rule(self._deployment, **wanted), refuse)
        if made is not None:
            ui.navigate.to(f"/deployments/{self._deployment}?tab=integration")
