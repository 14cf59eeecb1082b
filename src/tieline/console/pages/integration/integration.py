"""The tab Data integration: resources and rules of a deployment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from nicegui import ui

from tieline.client.rest import ClientError
from tieline.cloud.schemas.answers import ResourceAnswer
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk, words
from tieline.console.live.feed import shared
from tieline.console.live.snapshot import Inside, Snapshot

Named = tuple[str, str]  # an id and a name: a row of the list, as long as it is called so


class Ruled(NamedTuple):
    """What is told of a rule: not its counters, which change all the time."""

    status: str
    reason: str
    sql: str
    actions: tuple[Any, ...]


def integration(view: Desk, deployment: str) -> None:
    """Both lists. A row stays while others come and go, and with it what its Test found."""
    with _listed("Resources", "New Resource", f"/deployments/{deployment}/resources/new"):
        view.live(lambda now: _no_resource(now.inside(deployment)), _say)
        resources = partial(_resource, view, deployment)
        view.each(lambda now: _named(now.inside(deployment), "resources"), resources, parts.tag("ul", "list"))
    with _listed("Rules", "New rule", f"/deployments/{deployment}/rules/new"):
        view.live(lambda now: _no_rule(now.inside(deployment)), _say)
        rules = partial(_rule, view, deployment)
        view.each(lambda now: _named(now.inside(deployment), "rules"), rules, parts.tag("ul", "list"))


@contextmanager
def _listed(title: str, more: str, path: str) -> Iterator[None]:
    """A list with the way to one more."""
    with parts.card():
        with parts.row("between"):
            parts.heading(title)
            parts.go(more, path)
        yield


def _named(found: Inside | None, kind: str) -> tuple[Named, ...]:
    return tuple((one.id, one.name) for one in getattr(found, kind, ()))


def _no_resource(found: Inside | None) -> str:
    """What a resource would be, where there is none."""
    if found and found.resources:
        return ""
    first = "" if found and found.links else " Behind somebody else's network it needs a private link first."
    return f"A resource is a database that rules write to.{first}"


def _no_rule(found: Inside | None) -> str:
    if found and found.rules:
        return ""
    first = "" if found and found.resources else " Make a resource first, so that it has somewhere to write to."
    return f"A rule selects messages with SQL and writes them to a resource.{first}"


def _say(text: str) -> None:
    if text:
        parts.say(text, "muted")


@shared
def _resources(now: Snapshot) -> dict[str, ResourceAnswer]:
    return {resource.id: resource for one in now.deployments for resource in one.resources}


@shared
def _rules(now: Snapshot) -> dict[str, Ruled]:
    found = (rule for one in now.deployments for rule in one.rules)
    return {rule.id: Ruled(rule.status, rule.reason, rule.sql, rule.actions) for rule in found}


def _resource(view: Desk, deployment: str, named: Named) -> ui.element:
    id, name = named
    label = f'aria-label="{{}} resource {name}"'
    with parts.tag("li") as row:
        with parts.row("between"):
            with parts.stack():
                with parts.row():
                    ui.link(name, f"/deployments/{deployment}/resources/{name}").classes("strong")
                    view.live(lambda now: _status(_resources(now).get(id)), _state, "row")
                view.live(lambda now: _resources(now).get(id), _about)
            with parts.row():
                test = parts.button("Test", lambda: _test(view, deployment, id, outcome), kind="other")
                test.props(label.format("Test"))
                delete = parts.button("Delete", lambda: _delete(view, deployment, *named), kind="danger")
                delete.props(label.format("Delete"))
        outcome = parts.stack().props("aria-live=polite")
    return row


def _status(found: ResourceAnswer | Ruled | None) -> str:
    return found.status if found else ""


def _state(word: str) -> None:
    if word:
        parts.state(word)


def _about(resource: ResourceAnswer | None) -> None:
    if resource is None:
        return
    parts.say(f"{resource.type} at {resource.server}", "muted")
    if resource.reason:
        parts.problem(f"{resource.reason}\n{resource.hint}")


async def _test(view: Desk, deployment: str, id: str, outcome: ui.element) -> None:
    tell_testing(outcome)
    if await view.do(lambda client: client.probe_saved(deployment, id), lambda error: tell_test(outcome, error)):
        tell_test(outcome, None)


async def _delete(view: Desk, deployment: str, id: str, name: str) -> None:
    using = [rule.name for rule in _rules_with(view, deployment, name)]
    text = "Its login data are removed. This cannot be undone."
    if using:
        text = f"In use by the rules {', '.join(using)}. These are deleted as well. {text}"
    await view.remove(
        "resource", name, text, lambda client: client.delete_resource(deployment, id, cascade=bool(using))
    )


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


def _rule(view: Desk, deployment: str, named: Named) -> ui.element:
    id, name = named
    with parts.tag("li") as row:
        with parts.row("between"):
            with parts.row():
                ui.link(name, f"/deployments/{deployment}/rules/{name}").classes("strong")
                view.live(lambda now: _status(_rules(now).get(id)), _state, "row")
            _delete_rule(view, deployment, name)
        view.live(lambda now: _rules(now).get(id), _written)
    return row


def _written(rule: Ruled | None) -> None:
    """What a rule selects, and what it does with it."""
    if rule is None:
        return
    parts.tag("pre", text=rule.sql)
    for action in rule.actions:
        members = action.model_dump()
        where = action.resource or f"republish to {members.get('topic', '')}"
        parts.say(f"→ {where}: {members.get('sql', members.get('payload', ''))}", "muted mono")
    if rule.reason:
        parts.problem(rule.reason)


def _delete_rule(view: Desk, deployment: str, name: str) -> None:
    async def delete() -> None:
        text = "Messages that it already took are still written. This cannot be undone."
        await view.remove("rule", name, text, lambda client: client.delete_rule(deployment, name))

    parts.button("Delete", delete, kind="danger").props(f'aria-label="Delete rule {name}"')
