"""New Resource: the fields of a type, as the integration's registry names them, and Test."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from starlette.requests import Request

from tieline.cloud.client import ClientError
from tieline.console import parts
from tieline.console.pages.integration import tell_test
from tieline.console.shell import Desk, desk, frame, trail
from tieline.integration.config import RESOURCE_TYPES, Field
from tieline.integration.sinks import KINDS

FIRST = ("server", "database", "username", "password")  # the others wait behind "More settings"


@ui.page("/deployments/{name}/resources/new", response_timeout=15)
async def new_resource(request: Request, name: str, server: str = "", type: str = "") -> None:
    """The page; `server` is filled in where the link's page led here."""
    view = await desk(request)
    chosen = type if type in RESOURCE_TYPES else next(iter(RESOURCE_TYPES))
    with frame("New Resource", "/deployments"):
        trail(("Deployments", "/deployments"), (name, f"/deployments/{name}?tab=integration"))
        parts.heading("New Resource", 1)
        with parts.card():
            kind = parts.choice("Type", {kind.type: kind.label for kind in KINDS}, chosen)
            place = parts.stack("wide")
            form = Form(view, name, place)
            kind.on_value_change(lambda event: form.draw(event.value, server))
            form.draw(chosen, server)


class Form:
    """The fields of one type."""

    def __init__(self, view: Desk, deployment: str, place: ui.element) -> None:
        self._view, self._deployment, self._place = view, deployment, place
        self._type = ""
        self._fields: dict[str, Any] = {}

    def draw(self, type: str, server: str) -> None:
        """Show the fields of a type."""
        self._type, self._fields = type, {}
        self._place.clear()
        links = [link.name for link in getattr(self._view.now.inside(self._deployment), "links", ())]
        with self._place:
            self._name = parts.field("Name", "database")
            known = RESOURCE_TYPES[type]
            for field in [field for field in known if field.name in FIRST or field.required]:
                self._draw(field)
            told = (
                f"host:port, or link:<name>:<port> with one of the links {', '.join(links)}" if links else "host:port"
            )
            if "server" in self._fields:
                self._fields["server"].props(f'hint="{told}"')
                self._fields["server"].value = server
            with parts.tag("details"):
                parts.tag("summary", text="More settings: TLS, pool, timeouts")
                with parts.stack("wide"):
                    for field in [field for field in known if field.name not in self._fields]:
                        self._draw(field)
            self._outcome = parts.stack().props("aria-live=polite")
            with parts.row():
                parts.button("Test", self._test, kind="other")
                parts.button("Create Resource", self._create)

    def _draw(self, field: Field) -> None:
        label = f"{field.label}{' *' if field.required else ''}"
        made: Any
        if field.kind == "boolean":
            made = ui.checkbox(label, value=bool(field.default))
        elif field.kind == "number":
            made = parts.number(label, field.default)
        elif field.kind == "pem":
            made = ui.textarea(label, value="").props("outlined dense stack-label")
        else:
            made = parts.field(label, str(field.default or ""))
            if field.kind == "password":
                made.props("type=password autocomplete=new-password")
        self._fields[field.name] = made

    def _wanted(self) -> dict[str, Any]:
        """The form as REST takes it; what was left as it was is left out."""
        wanted: dict[str, Any] = {"name": self._name.value.strip(), "type": self._type}
        for field in RESOURCE_TYPES[self._type]:
            value = self._fields[field.name].value
            if value in (field.default, "", None) and not field.required:
                continue
            if field.kind == "number" and isinstance(field.default, int):
                value = int(value)
            group, _, last = field.name.rpartition(".")
            (wanted.setdefault(group, {}) if group else wanted)[last] = value
        return wanted

    async def _test(self) -> None:
        wanted = self._wanted()
        if await self._view.do(lambda client: client.probe_resource(self._deployment, **wanted), self._tell):
            self._tell(None)

    def _tell(self, error: ClientError | None) -> None:
        tell_test(self._outcome, error)

    async def _create(self) -> None:
        wanted = self._wanted()
        made = await self._view.act(lambda client: client.create_resource(self._deployment, **wanted), self._tell)
        if made is not None:
            ui.navigate.to(f"/deployments/{self._deployment}?tab=integration")
