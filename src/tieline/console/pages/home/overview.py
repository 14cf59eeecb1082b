"""Overview: the live picture, counts, what needs somebody, the last changes; on a first start, what to do first."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from nicegui import ui
from starlette.requests import Request

from tieline.cloud.model.records import LinkStatus
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk, desk, frame
from tieline.console.live.feed import shared
from tieline.console.live.snapshot import Change, Inside, Snapshot, changes
from tieline.console.pages.home.picture import Picture

H = TypeVar("H", bound=Hashable)


@ui.page("/", response_timeout=15)
async def overview(request: Request) -> None:
    """The page."""
    view = await desk(request)
    with frame("Overview", "/"):
        parts.heading("Overview", 1)
        view.live(lambda now: not now.deployments and not now.problem, _first)
        view.live(counts, _counts)
        await Picture(view).begin(request)
        with parts.tag("div", "grid"):
            _listed(view, "Needs attention", "Nothing.", attention, _trouble)
            _listed(view, "Last changes", "None yet.", changes, _change)


def _listed(
    view: Desk, title: str, nothing: str, select: Callable[[Snapshot], Sequence[H]], row: Callable[[H], ui.element]
) -> None:
    with parts.card(title):
        view.live(lambda now: not select(now), lambda empty: parts.say(nothing, "muted") if empty else None)
        view.each(select, row, parts.tag("ul", "list"))


@shared
def counts(now: Snapshot) -> tuple[tuple[str, int], ...]:
    """What there is, by kind."""
    ones = now.deployments
    rows = sum(int(metrics.get("success", 0)) for one in ones for rule in one.rules for metrics in rule.action_metrics)
    return (
        ("Deployments", len(ones)),
        ("Private links", sum(len(one.links) for one in ones)),
        ("Links running", sum(link.status is LinkStatus.RUNNING for one in ones for link in one.links)),
        ("Resources", sum(len(one.resources) for one in ones)),
        ("Rules", sum(len(one.rules) for one in ones)),
        ("Rows written", rows),
        ("Dead letters", sum(one.deployment.agent.dead_letters for one in ones)),
    )


@shared
def attention(now: Snapshot) -> list[tuple[str, str, str, str]]:
    """What needs somebody: state, what, hint, page."""
    found = [item for one in now.deployments for item in _troubles(one)]
    return found[:12]


def _troubles(one: Inside) -> list[tuple[str, str, str, str]]:
    deployment = one.deployment
    path = f"/deployments/{deployment.name}"
    found = []
    if deployment.status == "failed":
        found.append(("failed", f"deployment {deployment.name}", deployment.hint, path))
    for link in one.links:
        if link.status in (LinkStatus.FAILED, LinkStatus.WAITING_ACCEPTANCE):
            found.append((link.status, f"link {link.name}", link.hint, f"{path}/private-links/{link.name}"))
    for resource in one.resources:
        if resource.status == "disconnected":
            found.append(("disconnected", f"resource {resource.name}", resource.hint, f"{path}?tab=integration"))
    if deployment.agent.dead_letters:
        count = deployment.agent.dead_letters
        found.append(("failed", f"dead letters in {deployment.name}: {count}", "", f"{path}/dead-letters"))
    return found


def _first(nothing: bool) -> None:
    if not nothing:
        return
    with parts.card("Nothing here yet"):
        parts.say("A deployment is an MQTT broker in a network of its own. Private links lead from it to databases.")
        with parts.row():
            parts.go("New deployment", "/deployments/new")
            parts.go("Build the guide's whole world", "/demo")


def _counts(counted: tuple[tuple[str, int], ...]) -> None:
    with parts.tag("div", "counts"):
        for name, count in counted:
            with parts.tag("div", "count"):
                parts.tag("b", text=f"{count:,}")
                parts.tag("span", "muted", name)


def _trouble(item: tuple[str, str, str, str]) -> ui.element:
    word, what, hint, path = item
    with parts.tag("li") as drawn:
        with parts.row():
            parts.state(word)
            ui.link(what, path)
        parts.say(hint, "muted")
    return drawn


def _change(item: Change) -> ui.element:
    entry, what, path = item
    with parts.tag("li") as drawn:
        ui.link(what, path)
        parts.say(parts.told(entry), "muted")
    return drawn
