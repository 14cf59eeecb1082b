"""Overview: the live picture, counts, what needs somebody, the last changes; on a first start, what to do first."""

from __future__ import annotations

from collections import Counter

from nicegui import ui
from starlette.requests import Request

from tieline.cloud.records import HistoryEntry, LinkStatus
from tieline.console import parts
from tieline.console.gate import PREFIX
from tieline.console.map import draw
from tieline.console.shell import desk, frame
from tieline.console.snapshot import Inside, Snapshot, changes


@ui.page("/", response_timeout=15)
async def overview(request: Request) -> None:
    """The page."""
    view = await desk(request)
    written = Written(view.now)
    with frame("Overview", "/"):
        parts.heading("Overview", 1)
        view.live(lambda now: now.problem, _problem)
        view.live(lambda now: not now.deployments and not now.problem, _first)
        view.live(counts, _counts)
        view.live(written.picture, _map)
        with parts.tag("div", "grid"):
            view.live(attention, _attention)
            view.live(changes, _changes)


class Written:
    """Remembers how many rows went through each link, to tell where something moves."""

    def __init__(self, now: Snapshot) -> None:
        self._before = rows_by_link(now)

    def picture(self, now: Snapshot) -> str:
        """The map, links that rows went through since the last look in motion."""
        rows = rows_by_link(now)
        moving = frozenset(link for link, count in rows.items() if count > self._before.get(link, 0))
        self._before = rows
        return draw(now, PREFIX, moving) if now.deployments else ""


def rows_by_link(now: Snapshot) -> Counter[str]:
    """Rows that were written through each link, by the link's id."""
    found: Counter[str] = Counter()
    for one in now.deployments:
        servers = {resource.name: resource.server for resource in one.resources}
        for rule in one.rules:
            for action, metrics in zip(rule.actions, rule.action_metrics, strict=False):
                for link in one.links:
                    if servers.get(action.resource, "").startswith((f"link:{link.name}:", f"{link.address or '?'}:")):
                        found[link.id] += int(metrics.get("success", 0))
    return found


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
        found.append(("failed", f"{count} dead letters in {deployment.name}", "", f"{path}?tab=monitoring"))
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


def _map(svg: str) -> None:
    if svg:
        with parts.tag("section", "card scroll").props('role=region tabindex=0 aria-label="Map"'):
            ui.html(svg, sanitize=False)  # every text in it is escaped by draw()


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
