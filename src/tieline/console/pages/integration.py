"""The tab Data integration: resources and rules of a deployment."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from tieline.cloud.answers import ResourceAnswer
from tieline.cloud.client import ClientError
from tieline.console import parts
from tieline.console.shell import Desk, words


def resources(view: Desk, deployment: str, found: tuple[ResourceAnswer, ...], linked: bool) -> None:
    """The list of resources, each with its Test."""
    with parts.card():
        with parts.row("between"):
            parts.heading("Resources")
            parts.go("New Resource", f"/deployments/{deployment}/resources/new")
        if not found:
            first = "" if linked else " Behind somebody else's network it needs a private link first."
            parts.say(f"A resource is a database that rules write to.{first}", "muted")
            return
        with parts.tag("ul", "list"):
            for resource in found:
                with parts.tag("li"):
                    _resource(view, deployment, resource)


def _resource(view: Desk, deployment: str, resource: ResourceAnswer) -> None:
    outcome: ui.element

    async def test() -> None:
        if await view.do(
            lambda client: client.probe_saved(deployment, resource.id), lambda error: tell_test(outcome, error)
        ):
            tell_test(outcome, None)

    async def delete() -> None:
        using = [rule.name for rule in _rules_with(view, deployment, resource.name)]
        text = "Its login data are removed. This cannot be undone."
        if using:
            text = f"In use by the rules {', '.join(using)}. These are deleted as well. {text}"
        await view.remove(
            "resource",
            resource.name,
            text,
            lambda client: client.delete_resource(deployment, resource.id, cascade=bool(using)),
        )

    with parts.row("between"):
        with parts.stack():
            with parts.row():
                ui.link(resource.name, f"/deployments/{deployment}/resources/{resource.name}").classes("strong")
                parts.state(resource.status)
            parts.say(f"{resource.type} at {resource.server}", "muted")
            if resource.reason:
                parts.problem(f"{resource.reason}\n{resource.hint}")
        with parts.row():
            parts.button("Test", test, kind="other").props(f'aria-label="Test resource {resource.name}"')
            parts.button("Delete", delete, kind="danger").props(f'aria-label="Delete resource {resource.name}"')
    outcome = parts.stack().props("aria-live=polite")


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
    with parts.card():
        with parts.row("between"):
            parts.heading("Rules")
            parts.go("New rule", f"/deployments/{deployment}/rules/new")
        if not found:
            first = "" if has_resource else " Make a resource first, so that it has somewhere to write to."
            parts.say(f"A rule selects messages with SQL and writes them to a resource.{first}", "muted")
            return
        with parts.tag("ul", "list"):
            for name, status, reason, sql, actions in found:
                with parts.tag("li"):
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
