"""The list of deployments, and the form that makes one."""

from __future__ import annotations

from typing import Any

from nicegui import ui
from starlette.requests import Request

from tieline.cloud.client import ClientError
from tieline.console import context, parts
from tieline.console.shell import Desk, desk, frame, trail, words
from tieline.console.snapshot import Inside

PROVIDERS = {"fabric": "In a network of its own (broker included)", "external": "My own broker, joined by an agent"}


@ui.page("/deployments", response_timeout=15)
async def deployments(request: Request) -> None:
    """The list."""
    view = await desk(request)
    with frame("Deployments", "/deployments"):
        with parts.row("between"):
            parts.heading("Deployments", 1)
            parts.go("New deployment", "/deployments/new")
        view.live(lambda now: now.problem, lambda text: parts.problem(text) if text else None)
        view.live(lambda now: now.deployments, _list)


def _list(found: tuple[Inside, ...]) -> None:
    if not found:
        parts.say("There is none yet. The first one takes a few seconds to start.", "muted")
        return
    with parts.table(("Name", "Status", "MQTT", "Links", "Rules"), "Deployments"):
        for one in found:
            deployment = one.deployment
            with parts.tag("tr"):
                with parts.tag("td"):
                    ui.link(deployment.name, f"/deployments/{deployment.name}")
                with parts.tag("td"):
                    parts.state(deployment.status)
                parts.tag("td", "mono", str(deployment.mqtt))
                parts.tag("td", text=str(len(one.links)))
                parts.tag("td", text=str(len(one.rules)))


@ui.page("/deployments/new", response_timeout=15)
async def new_deployment(request: Request) -> None:
    """The form."""
    view = await desk(request)
    with frame("New deployment", "/deployments"):
        trail(("Deployments", "/deployments"))
        parts.heading("New deployment", 1)
        with parts.card():
            name = parts.field("Name")
            provider = parts.choice("Broker", PROVIDERS, "fabric")
            cidr = parts.field("Address range of its network", "10.0.0.0/16")
            host = parts.field("Host of your broker", "127.0.0.1").bind_visibility_from(
                provider, "value", value="external"
            )
            port = parts.number("Port of your broker", 1883).bind_visibility_from(provider, "value", value="external")
            cidr.bind_visibility_from(provider, "value", value="fabric")
            outcome = parts.stack()

            async def create() -> None:
                wanted: dict[str, Any] = {"name": name.value.strip(), "provider": provider.value}
                if provider.value == "external":
                    wanted["mqtt"] = {"host": host.value, "port": int(port.value or 0)}
                else:
                    wanted["cidr"] = cidr.value.strip()
                await _create(view, wanted, outcome)

            with parts.row():
                parts.button("Create deployment", create)


async def _create(view: Desk, wanted: dict[str, Any], outcome: ui.element) -> None:
    def refuse(error: ClientError) -> None:
        outcome.clear()
        with outcome:
            parts.problem(words(error))

    made = await view.act(lambda client: client.create_deployment(**wanted), refuse)
    if made is None:
        return
    if not made.join_token:
        ui.navigate.to(f"/deployments/{made.name}")
        return
    outcome.clear()
    with outcome:
        parts.say("Created. Start the agent beside your broker with this token, which is shown only now:")
        command = f"tieline agent --platform {context.current.place.rest} --state ./agent --join {made.join_token}"
        parts.copied(command, "the agent's command", block=True)
        ui.link("Go on to the deployment", f"/deployments/{made.name}")
