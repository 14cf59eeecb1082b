"""What a rule does with its result: any number of actions, each a form made of its kind's own fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui

from tieline.cloud.schemas.answers import ResourceAnswer
from tieline.console.frame import parts
from tieline.console.frame.editor import editor
from tieline.console.frame.forms import Fields
from tieline.integration.config.shapes import Field
from tieline.integration.sinks import ACTIONS, BY_TYPE
from tieline.integration.sinks.base.kind import Action, form

REPUBLISH = "republish"
BROKER = "the deployment's own broker (republish)"
INSERT = "insert into readings(device, temp, ts) values (${device}, ${temp}, ${timestamp})"
FIRST = frozenset({"payload", "payload_template", "content", "key", "qos", "retain", "range_key"})
LATER = "More settings: batches and buffer"
#: What stands in a new form, so that there is something to change.
STARTS: dict[str, dict[str, Any]] = {
    "sql": {"sql": INSERT},
    REPUBLISH: {"topic": "alarms/${device}"},
    "redis": {"command_template": "HSET ${device} temp ${temp}"},
}


class Actions:
    """The actions of a rule; `told` is called for each editor that it makes."""

    def __init__(
        self, resources: Sequence[ResourceAnswer], actions: Sequence[dict[str, Any]], told: Callable[[Any], object]
    ) -> None:
        self._resources = {resource.name: resource for resource in resources}
        self._told = told
        self._forms: list[ActionForm] = []
        self._place = parts.stack("wide")
        for action in actions:
            self.add(action)
        with parts.row():
            parts.button("Add an action", lambda: self.add({}), kind="other")

    def add(self, values: dict[str, Any]) -> None:
        """One more, with what it has already."""
        with self._place:
            made = ActionForm(self._resources, values, self._told, self._remove)
        self._forms.append(made)

    def wanted(self) -> list[dict[str, Any]]:
        """The actions as REST takes them."""
        return [one.wanted() for one in self._forms]

    def _remove(self, form: ActionForm) -> None:
        self._forms.remove(form)
        form.place.delete()


class ActionForm:
    """One action: where to, which kind, and the fields of that kind."""

    def __init__(
        self,
        resources: dict[str, ResourceAnswer],
        values: dict[str, Any],
        told: Callable[[Any], object],
        remove: Callable[[ActionForm], object],
    ) -> None:
        self._resources, self._told = resources, told
        self.place = parts.tag("div", "action stack wide")
        with self.place:
            where = {name: name for name in resources} | {"": BROKER}
            chosen = values.get("resource", "" if values else next(iter(resources), ""))
            with parts.row("between"):
                self._resource = parts.choice("Resource", where, chosen, on_change=lambda: self._kinds({}))
                parts.button("Remove", lambda: remove(self), kind="danger").props('aria-label="Remove this action"')
            self._choose = parts.stack()
            self._entries = parts.stack("wide")
        self._kinds(values)

    def _kinds(self, values: dict[str, Any]) -> None:
        name = self._resource.value
        kinds = BY_TYPE[self._resources[name].type].action_kinds if name else (REPUBLISH,)
        self._kind = values.get("kind") or kinds[0]
        self._choose.clear()
        if len(kinds) > 1:
            with self._choose:
                chosen = parts.choice("Kind", list(kinds), self._kind)
                chosen.on_value_change(lambda event: self._draw(event.value, {}))
        self._draw(self._kind, values)

    def _draw(self, kind: str, values: dict[str, Any]) -> None:
        self._kind, self._sql = kind, None
        values = values or STARTS.get(kind, {})
        known = form(ACTIONS[kind], Action)
        self._entries.clear()
        with self._entries:
            for field in [field for field in known if field.name == "sql"]:
                self._sql = self._statement(field, str(values.get("sql", "")))
            self._fields = Fields([field for field in known if field.name != "sql"], values, FIRST, LATER)

    def _statement(self, field: Field, text: str) -> ui.codemirror:
        parts.tag("h3", text=f"{field.label}, with ${{field}}s of the result")
        made = editor(text, "SQL", "Statement of the action")
        self._told(made)
        return made

    def wanted(self) -> dict[str, Any]:
        """The action as REST takes it."""
        wanted = {"kind": self._kind, "resource": self._resource.value} | self._fields.wanted()
        return wanted | ({"sql": self._sql.value} if self._sql is not None else {})
