"""A form made of the fields that the integration's registry names: what is typed, as REST takes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nicegui import ui

from tieline.console.frame import parts
from tieline.integration.config.shapes import Field

TALL = {"pem", "lines", "template", "pairs"}  # kinds that are typed on several lines


class Fields:
    """The entries for some fields; drawn where it is made, those that are `later` behind a summary.

    `values` are what a record has now, members in groups as REST gives them.
    """

    def __init__(self, known: Iterable[Field], values: Mapping[str, Any], first: frozenset[str], later: str) -> None:
        self._known = {field.name: field for field in known}
        self._entries: dict[str, Any] = {}
        now = [name for name, field in self._known.items() if name in first or field.required]
        for name in now:
            self._draw(self._known[name], values)
        rest = [field for name, field in self._known.items() if name not in now]
        if rest:
            with parts.tag("details"):
                parts.tag("summary", text=later)
                with parts.stack("wide"):
                    for field in rest:
                        self._draw(field, values)

    def entry(self, name: str) -> Any:
        """The element that a field is typed into; None where the form has no such field."""
        return self._entries.get(name)

    def wanted(self, changed: bool = False) -> dict[str, Any]:
        """What is typed; what is as it is without saying is left out, or with `changed` is said as well."""
        wanted: dict[str, Any] = {}
        for name, field in self._known.items():
            value = typed(field, self._entries[name].value)
            if not changed and not field.required and value in (field.default, "", None, [], {}):
                continue
            group, _, last = name.rpartition(".")
            (wanted.setdefault(group, {}) if group else wanted)[last] = value
        return wanted

    def _draw(self, field: Field, values: Mapping[str, Any]) -> None:
        label = f"{field.label}{' *' if field.required else ''}"
        value = present(field, values)
        made: Any
        if field.kind == "boolean":
            made = ui.checkbox(label, value=bool(value))
        elif field.kind == "number":
            made = parts.number(label, value)
        elif field.kind == "choice":
            made = parts.choice(label, list(field.choices), value)
        elif field.kind in TALL:
            made = parts.words(label, shown(field, value))
        elif field.kind == "password":
            made = parts.secret(label)
            made.value = str(value or "")
        else:
            made = parts.field(label, "" if value is None or value is False else str(value))
        self._entries[field.name] = made


def present(field: Field, values: Mapping[str, Any]) -> Any:
    """What a record has for a field, else what holds without saying."""
    group, _, last = field.name.rpartition(".")
    found = values.get(group, {}) if group else values
    value = found.get(last) if isinstance(found, Mapping) else None
    return field.default if value is None else value


def shown(field: Field, value: Any) -> str:
    """A value of a tall field as text: a list one entry a line, pairs as `name: value`."""
    if field.kind == "pairs":
        return "\n".join(f"{name}: {one}" for name, one in dict(value or {}).items())
    if isinstance(value, (list, tuple)):
        return "\n".join(map(str, value))
    return str(value or "")


def typed(field: Field, value: Any) -> Any:
    """The value of a field from what is typed."""
    if field.kind == "pairs":
        pairs = (line.partition(":") for line in str(value or "").splitlines() if line.strip())
        return {name.strip(): one.strip() for name, _, one in pairs}
    if field.kind == "lines":
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]
    if field.kind == "number" and value is not None and float(value).is_integer():
        return int(value)
    return value
