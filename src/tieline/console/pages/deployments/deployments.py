"""The list of deployments."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from tieline.console.frame import parts
from tieline.console.frame.shell import desk, frame
from tieline.console.live.feed import shared
from tieline.console.live.snapshot import Snapshot

Row = tuple[str, str, str, int, int]  # name, status, where devices connect, links, rules


@ui.page("/deployments", response_timeout=15)
async def deployments(request: Request) -> None:
    """The list."""
    view = await desk(request)
    with frame("Deployments", "/deployments"):
        with parts.row("between"):
            parts.heading("Deployments", 1)
            parts.go("New deployment", "/deployments/new")
        view.live(lambda now: now.problem, lambda text: parts.problem(text) if text else None)
        view.live(rows, _list)


@shared
def rows(now: Snapshot) -> list[Row]:
    """What the list shows. Pure."""
    return [
        (one.deployment.name, one.deployment.status, str(one.deployment.mqtt), len(one.links), len(one.rules))
        for one in now.deployments
    ]


def _list(found: list[Row]) -> None:
    if not found:
        parts.say("There is none yet. The first one takes a few seconds to start.", "muted")
        return
    with parts.table(("Name", "Status", "MQTT", "Links", "Rules"), "Deployments"):
        for name, status, mqtt, links, rules in found:
            with parts.tag("tr"):
                with parts.tag("td"):
                    ui.link(name, f"/deployments/{name}")
                with parts.tag("td"):
                    parts.state(status)
                parts.tag("td", "mono", mqtt)
                parts.tag("td", text=str(links))
                parts.tag("td", text=str(rules))
