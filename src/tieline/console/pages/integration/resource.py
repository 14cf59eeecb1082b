"""New Resource, and a resource that is changed: the fields of its type, as the registry names them, and Test."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from starlette.requests import Request

from tieline.client.rest import ClientError
from tieline.cloud.schemas.answers import ResourceAnswer
from tieline.console.frame import parts
from tieline.console.frame.forms import Fields
from tieline.console.frame.shell import Desk, desk, frame, trail, words
from tieline.console.pages.integration.integration import tell_test, tell_testing
from tieline.integration.sinks import BY_TYPE, KINDS, RESOURCE_TYPES

# Besides what is required; the others wait behind "More settings".
FIRST = frozenset(
    {"username", "password", "token", "redis_type", "region", "aws_access_key_id", "aws_secret_access_key"}
)
LATER = "More settings: TLS, pool, timeouts"
FORMS = {"server": "host:port", "servers": "host:port, several with commas", "url": "http://host:port/path"}


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
            kind.on_value_change(lambda event: form.draw(event.value, {"server": server}))
            form.draw(chosen, {"server": server})


@ui.page("/deployments/{name}/resources/{key}", response_timeout=15)
async def resource(request: Request, name: str, key: str) -> None:
    """A resource, to be changed."""
    view = await desk(request)
    with frame(f"Resource {key}", "/deployments"):
        trail(("Deployments", "/deployments"), (name, f"/deployments/{name}?tab=integration"))
        parts.heading(f"Resource {key}", 1)
        try:
            found = await view.ask(lambda client: client.resource(name, key))
        except ClientError as error:
            parts.problem(words(error))
            return
        with parts.card(BY_TYPE[found.type].label):
            form = Form(view, name, parts.stack("wide"), found.name)
            form.draw(found.type, found.model_dump())


class Form:
    """The fields of one type; `changing` is the name of the resource that is changed, "" for a new one."""

    def __init__(self, view: Desk, deployment: str, place: ui.element, changing: str = "") -> None:
        self._view, self._deployment, self._place, self._changing = view, deployment, place, changing

    def draw(self, type: str, values: dict[str, Any]) -> None:
        """Show the fields of a type, with what is known already."""
        self._type, self._where = type, BY_TYPE[type].resource.ADDRESS
        self._place.clear()
        with self._place:
            self._name = parts.field("Name", str(values.get("name") or "database"))
            address = values.get("server", "")
            form = BY_TYPE[type].resource.FORM
            if form == "url" and address and "://" not in address:
                address = f"http://{address}"
            self._fields = Fields(RESOURCE_TYPES[type], {**values, self._where: address}, FIRST, LATER)
            if (entry := self._fields.entry(self._where)) is not None:
                entry.props(f'hint="{self._hint(FORMS[form])}"')
            self._outcome = parts.stack().props("aria-live=polite")
            with parts.row():
                parts.button("Test", self._test, kind="other")
                parts.button("Save" if self._changing else "Create Resource", self._save)

    def _hint(self, form: str) -> str:
        links = [link.name for link in getattr(self._view.now.inside(self._deployment), "links", ())]
        if not links:
            return form
        shown = ", ".join(links[:5]) + (" …" if len(links) > 5 else "")
        return f"{form}; link:name:port in place of host:port leads through a link: {shown}"

    def _wanted(self) -> dict[str, Any]:
        """The form as REST takes it, which knows the address as `server` whatever its kind calls it."""
        wanted = self._fields.wanted(changed=bool(self._changing))
        wanted["server"] = wanted.pop(self._where, "")
        return wanted | {"name": self._name.value.strip(), "type": self._type}

    async def _test(self) -> None:
        wanted = self._wanted()
        tell_testing(self._outcome)
        if await self._view.do(lambda client: client.probe_resource(self._deployment, **wanted), self._tell):
            self._tell(None)

    def _tell(self, error: ClientError | None) -> None:
        tell_test(self._outcome, error)

    async def _save(self) -> None:
        wanted = self._wanted()
        if self._changing:
            path = ("deployments", self._deployment, "resources", self._changing)
            made = await self._view.act(lambda client: client.change(ResourceAnswer, *path, changes=wanted), self._tell)
        else:
            made = await self._view.act(lambda client: client.create_resource(self._deployment, **wanted), self._tell)
        if made is not None:
            ui.navigate.to(f"/deployments/{self._deployment}?tab=integration")
