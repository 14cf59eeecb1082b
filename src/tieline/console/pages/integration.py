"""The tab Data integration: resources and rules of a deployment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from nicegui import ui

from tieline.cloud.answers import ResourceAnswer
from tieline.cloud.client import ClientError
from tieline.console import parts
from tieline.console.shell import Desk, words
from tieline.console.snapshot import Inside

T = TypeVar("T")


class Resources:
    """The list of resources, each with its Test, whose outcome stays when the list is drawn anew."""

    def __init__(self, view: Desk, deployment: str) -> None:
        self._view, self._deployment = view, deployment
        self._outcomes: dict[str, ui.element] = {}
        self._tested: dict[str, ClientError | None] = {}
        view.live(lambda now: _parts(now.inside(deployment)), lambda found: self._draw(*found))

    def _draw(self, found: tuple[ResourceAnswer, ...], linked: bool) -> None:
        self._outcomes.clear()
        first = "" if linked else " Behind somebody else's network it needs a private link first."
        _listed(
            "Resources",
            ("New Resource", f"/deployments/{self._deployment}/resources/new"),
            f"A resource is a database that rules write to.{first}",
            found,
            self._resource,
        )

    def _resource(self, resource: ResourceAnswer) -> None:
        label = f'aria-label="{{}} resource {resource.name}"'
        with parts.row("between"):
            with parts.stack():
                with parts.row():
                    path = f"/deployments/{self._deployment}/resources/{resource.name}"
                    ui.link(resource.name, path).classes("strong")
                    parts.state(resource.status)
                parts.say(f"{resource.type} at {resource.server}", "muted")
                if resource.reason:
                    parts.problem(f"{resource.reason}\n{resource.hint}")
            with parts.row():
                parts.button("Test", partial(self._test, resource), kind="other").props(label.format("Test"))
                parts.button("Delete", partial(self._delete, resource), kind="danger").props(label.format("Delete"))
        self._outcomes[resource.id] = parts.stack().props("aria-live=polite")
        if resource.id in self._tested:
            tell_test(self._outcomes[resource.id], self._tested[resource.id])

    async def _test(self, resource: ResourceAnswer) -> None:
        self._tested.pop(resource.id, None)
        tell_testing(self._outcomes[resource.id])

        def tell(error: ClientError | None) -> None:
            self._tested[resource.id] = error
            if (place := self._outcomes.get(resource.id)) is not None:
                tell_test(place, error)

        if await self._view.do(lambda client: client.probe_saved(self._deployment, resource.id), tell):
            tell(None)

    async def _delete(self, resource: ResourceAnswer) -> None:
        using = [rule.name for rule in _rules_with(self._view, self._deployment, resource.name)]
        text = "Its login data are removed. This cannot be undone."
        if using:
            text = f"In use by the rules {', '.join(using)}. These are deleted as well. {text}"
        await self._view.remove(
            "resource",
            resource.name,
            text,
            lambda client: client.delete_resource(self._deployment, resource.id, cascade=bool(using)),
        )


def _parts(found: Inside | None) -> tuple[tuple[ResourceAnswer, ...], bool]:
    return (found.resources, bool(found.links)) if found else ((), False)


def tell_testing(place: ui.element) -> None:
    """That a Test is under way: what an earlier one found is no longer told."""
    place.clear()
    with place:
        parts.say("Testing …", "muted")


def tell_test(place: ui.element, error: ClientError | None) -> None:
    """What a Test found: that it passed, or the hop that failed."""
    place.clear()
    with place:
        if error is None:
            parts.say("Test passed: the resource is available.", "good")
            return
        hop = error.extra.get("hop")
        cause = error.extra.get("cause")
        parts.problem("\n".join(filter(None, [f"Failed at hop {hop}" if hop else "", words(error), str(cause or "")])))


def _rules_with(view: Desk, deployment: str, resource: str) -> list[Any]:
    found = view.now.inside(deployment)
    return [rule for rule in found.rules if any(a.resource == resource for a in rule.actions)] if found else []


def rules(view: Desk, deployment: str, shown: tuple[tuple[Any, ...], bool]) -> None:
    """The list of rules."""
    found, has_resource = shown
    first = "" if has_resource else " Make a resource first, so that it has somewhere to write to."
    _listed(
        "Rules",
        ("New rule", f"/deployments/{deployment}/rules/new"),
        f"A rule selects messages with SQL and writes them to a resource.{first}",
        found,
        lambda rule: _rule(view, deployment, *rule),
    )


def _listed(title: str, more: tuple[str, str], none: str, found: Sequence[T], draw: Callable[[T], None]) -> None:
    """A list with the way to one more; where nothing is in it, what it would be."""
    with parts.card():
        with parts.row("between"):
            parts.heading(title)
            parts.go(*more)
        if not found:
            parts.say(none, "muted")
            return
        with parts.tag("ul", "list"):
            for item in found:
                with parts.tag("li"):
                    draw(item)


def _rule(view: Desk, deployment: str, name: str, status: str, reason: str, sql: str, actions: tuple[Any, ...]) -> None:
    with parts.row("between"):
        with parts.row():
            ui.link(name, f"/deployments/{deployment}/rules/{name}").classes("strong")
            parts.state(status)
        _delete_rule(view, deployment, name)
    parts.tag("pre", text=sql)
    for action in actions:
        members = action.model_dump()
        where = action.resource or f"republish to {members.get('topic', '')}"
        parts.say(f"→ {where}: {members.get('sql', members.get('payload', ''))}", "muted mono")
    if reason:
        parts.problem(reason)


def _delete_rule(view: Desk, deployment: str, name: str) -> None:
    async def delete() -> None:
        text = "Messages that it already took are still written. This cannot be undone."
        await view.remove("rule", name, text, lambda client: client.delete_rule(deployment, name))

    parts.button("Delete", delete, kind="danger").props(f'aria-label="Delete rule {name}"')
