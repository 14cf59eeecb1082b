"""Overview: the live picture, counts, what needs somebody, the last changes; on a first start, what to do first."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from tieline.cloud.records import HistoryEntry, LinkStatus
from tieline.console import parts
from tieline.console.pages.picture import Picture
from tieline.console.shell import desk, frame
from tieline.console.snapshot import Inside, Snapshot, changes


@ui.page("/", response_timeout=15)
async def overview(request: Request) -> None:
    """The page."""
    view = await desk(request)
    with frame("Overview", "/"):
        parts.heading("Overview", 1)
        view.live(lambda now: now.problem, _problem)
        view.live(lambda now: not now.deployments and not now.problem, _first)
        view.live(counts, _counts)
        await Picture(view).begin(request)
        with parts.tag("div", "grid"):
            view.live(attention, _attention)
            view.live(changes, _changes)


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


def _problem(text: str) -> None:
    if text:
        parts.problem(text)


def _first(nothing: bool) -> None:
    if not nothing:
        return
    with parts.card("Nothing here yet"):
        parts.say("A deployment is an MQTT broker in a network of its own. Private links lead from it to databases.")
        with parts.row():
            parts.go("New deployment", "/deployments/new")
            ui.link("Build the guide's whole world, step by step", "/demo")


def _counts(counted: tuple[tuple[str, int], ...]) -> None:
    with parts.tag("div", "counts"):
        for name, count in counted:
            with parts.tag("div", "count"):
                parts.tag("b", text=f"{count:,}")
                parts.tag("span", "muted", name)


def _attention(items: list[tuple[str, str, str, str]]) -> None:
    with parts.card("Needs attention"):
        if not items:
            parts.say("Nothing.", "muted")
            return
        with parts.tag("ul", "list"):
            for word, what, hint, path in items:
                with parts.tag("li"):
                    with parts.row():
                        parts.state(word)
                        ui.link(what, path)
                    parts.say(hint, "muted")


def _changes(items: list[tuple[HistoryEntry, str, str]]) -> None:
    with parts.card("Last changes"):
        if not items:
            parts.say("None yet.", "muted")
            return
        with parts.tag("ul", "list"):
            for entry, what, path in items:
                with parts.tag("li"):
                    ui.link(what, path)
                    parts.say(parts.told(entry), "muted")
