"""A rule, new or to be changed: SQL in an editor, its error at its place, a sample and its result side by side."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from nicegui import ui
from starlette.requests import Request

from tieline.client.rest import ClientError
from tieline.cloud.schemas.answers import RuleAnswer
from tieline.console.frame import parts
from tieline.console.frame.editor import dress, editor, mark
from tieline.console.frame.history import Past
from tieline.console.frame.shell import Desk, desk, frame, trail, words
from tieline.console.pages.integration.actions import Actions
from tieline.console.pages.integration.functions import functions

SQL = 'SELECT\n  payload.device as device, payload.temp as temp, timestamp\nFROM "sensors/#"\nWHERE payload.temp > 20'
SAMPLE = {"device": "d-1", "temp": 21.5}
TOPIC = "sensors/1"
PAUSE = 0.5  # seconds without a key before the rule is tried


@ui.page("/deployments/{name}/rules/new", response_timeout=15)
async def new_rule(request: Request, name: str) -> None:
    """The page."""
    view = await desk(request)
    with frame("New rule", "/deployments"):
        trail(("Deployments", "/deployments"), (name, f"/deployments/{name}?tab=integration"))
        parts.heading("New rule", 1)
        Editor(view, name, None)


@ui.page("/deployments/{name}/rules/{key}", response_timeout=15)
async def rule(request: Request, name: str, key: str) -> None:
    """A rule with its past, to be changed."""
    view = await desk(request)
    with frame(f"Rule {key}", "/deployments"):
        trail(("Deployments", "/deployments"), (name, f"/deployments/{name}?tab=integration"))
        parts.heading(f"Rule {key}", 1)
        try:
            found = await view.ask(lambda client: client.rule(name, key))
        except ClientError as error:
            parts.problem(words(error))
            return
        past = Past(view, name, found.id)
        await past.look()
        Editor(view, name, found)


class Editor:
    """The form; the rule is tried on the sample whenever something is typed. `known` is the rule that is changed."""

    def __init__(self, view: Desk, deployment: str, known: RuleAnswer | None) -> None:
        self._view, self._deployment, self._known = view, deployment, known
        self._typed = 0
        self._editors: list[ui.codemirror] = []
        with parts.tag("div", "grid"):
            with parts.card("Select"):
                self._name = parts.field("Name", known.name if known else "rule")
                parts.tag("h3", text="SQL")
                self._sql = self._keep(
                    editor(known.sql if known else SQL, "SQL", "SQL of the rule", on_change=self._changed)
                )
                self._wrong = parts.stack().props("aria-live=polite")
                functions()
            with parts.card("Try it"):
                self._topic = parts.field("Topic of the sample message", TOPIC, on_change=self._changed)
                parts.tag("h3", text="Payload")
                self._sample = self._keep(
                    editor(json.dumps(SAMPLE), "JSON", "Payload of the sample message", on_change=self._changed)
                )
                parts.tag("h3", text="Result")
                self._result = parts.stack().props("aria-live=polite")
        with parts.card("Actions"):
            self._act()
        ui.timer(0.1, lambda: dress(self._editors), once=True)
        ui.timer(0.1, self._try, once=True)

    def _keep(self, made: ui.codemirror) -> ui.codemirror:
        self._editors.append(made)
        return made

    def _act(self) -> None:
        found = self._view.now.inside(self._deployment)
        resources = found.resources if found else ()
        if not resources:
            parts.empty(
                "There is no resource yet to write to; what is republished needs none.",
                "New Resource",
                f"/deployments/{self._deployment}/resources/new",
            )
        known = [action.model_dump() for action in self._known.actions] if self._known else []
        self._actions = Actions(resources, known if self._known else [{}], self._late)
        self._enable = ui.checkbox("The rule works", value=self._known.enable if self._known else True)
        self._outcome = parts.stack().props("aria-live=polite")
        with parts.row():
            parts.button("Save" if self._known else "Create rule", self._save)

    def _late(self, made: ui.codemirror) -> None:
        """An editor that an action has made, now or later."""
        self._keep(made)
        with made.parent_slot.parent if made.parent_slot else self._result:
            ui.timer(0.1, lambda: dress(self._editors), once=True)

    async def _changed(self) -> None:
        self._typed = turn = self._typed + 1
        await asyncio.sleep(PAUSE)
        if turn == self._typed:
            await self._try()

    async def _try(self) -> None:
        turn = self._typed
        sql, context = self._sql.value, {"topic": self._topic.value, "payload": self._sample.value}
        found: Any
        wrong: ClientError | None = None
        try:
            found = await self._view.ask(lambda client: client.test_rule(self._deployment, sql=sql, context=context))
        except ClientError as error:
            wrong = error
        if turn != self._typed:  # something else was typed meanwhile, and is tried by itself
            return
        self._wrong.clear()
        self._result.clear()
        mark(self._sql, wrong)
        with self._wrong if wrong and wrong.status != 412 else self._result:
            if wrong:
                self._explain(sql, wrong)
            else:
                parts.tag("pre", text=json.dumps(found, indent=2, ensure_ascii=False))

    def _explain(self, sql: str, error: ClientError) -> None:
        parts.problem(words(error))
        line, column = error.extra.get("line"), error.extra.get("column")
        lines = sql.splitlines()
        if isinstance(line, int) and isinstance(column, int) and 0 < line <= len(lines):
            parts.tag("pre", text=f"{lines[line - 1]}\n{' ' * (column - 1)}▲ line {line}, column {column}")

    async def _save(self) -> None:
        def refuse(error: ClientError) -> None:
            self._outcome.clear()
            with self._outcome:
                self._explain(self._sql.value, error)

        wanted: dict[str, Any] = {"name": self._name.value.strip(), "sql": self._sql.value}
        wanted |= {"actions": self._actions.wanted(), "enable": bool(self._enable.value)}
        known = self._known
        if known is None:
            made = await self._view.act(lambda client: client.create_rule(self._deployment, **wanted), refuse)
        else:
            path = ("deployments", self._deployment, "rules", known.id)
            made = await self._view.act(lambda client: client.change(RuleAnswer, *path, changes=wanted), refuse)
        if made is not None:
            ui.navigate.to(f"/deployments/{self._deployment}?tab=integration")
