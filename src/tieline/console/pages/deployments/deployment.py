"""One deployment: what it is, and the tabs Network management, Data integration and Monitoring."""

from __future__ import annotations

from functools import partial
from typing import Literal

from nicegui import ui
from starlette.requests import Request

from tieline.client.rest import ClientError
from tieline.cloud.model.providers import DeploymentAccount
from tieline.cloud.model.records import LinkStatus, PrivateLinkView, Subnet
from tieline.cloud.schemas.answers import DeploymentAnswer
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk, desk, frame, trail
from tieline.console.live.snapshot import Inside
from tieline.console.pages.deployments.monitoring import monitoring
from tieline.console.pages.deployments.mqtt import mqtt_users
from tieline.console.pages.integration.integration import integration
from tieline.console.pages.links.link_users import delete_link
from tieline.console.session.leaving import leave

TABS = {
    "network": "Network management",
    "integration": "Data integration",
    "monitoring": "Monitoring",
    "users": "MQTT users",
}
ROWS = 50  # links in one list; the others are found by name or state


@ui.page("/deployments/{name}", response_timeout=15)
async def deployment(request: Request, name: str, tab: str = "network") -> None:
    """The page."""
    view = await desk(request)
    tab = tab if tab in TABS else "network"
    with frame(f"Deployment {name}", "/deployments"):
        trail(("Deployments", "/deployments"))
        with parts.row("between"):
            parts.heading(f"Deployment {name}", 1)
            parts.button("Delete deployment", lambda: _delete(view, name), kind="danger")
        view.live(lambda now: now.inside(name) is None, lambda gone: _gone(name) if gone else None)
        view.live(lambda now: _only(now.inside(name)), lambda found: _about(view, found) if found else None)
        parts.tabs(
            [(title, f"/deployments/{name}?tab={key}") for key, title in TABS.items()],
            f"/deployments/{name}?tab={tab}",
            "Parts of the deployment",
        )
        if tab == "network":
            await _provider(view, name)
            Links(view, name)
        elif tab == "integration":
            integration(view, name)
        elif tab == "users":
            await mqtt_users(view, name)
        else:
            monitoring(view, name)


def _only(found: Inside | None) -> DeploymentAnswer | None:
    """What the page says of it: without what changes often and stands elsewhere, or nowhere."""
    if found is None:
        return None
    agent = found.deployment.agent.model_copy(update={"dead_letters": 0, "applied": 0, "agents": 0})
    return found.deployment.model_copy(update={"revision": 0, "history": (), "description": "", "agent": agent})


def _links_of(found: Inside | None) -> tuple[PrivateLinkView, ...]:
    return found.links if found else ()


def _gone(name: str) -> None:
    parts.empty(f"There is no deployment {name}, or no longer.", "All deployments", "/deployments")


def _about(view: Desk, found: DeploymentAnswer) -> None:
    agent = "connected" if found.agent.connected else "disconnected"
    broker = "accepts connections" if found.agent.broker else "does not accept connections"
    with parts.card():
        with parts.row("between"):
            parts.state(found.status)
            with parts.row():
                if found.wanted == "running":
                    parts.button("Stop", lambda: _switch(view, found, "stop"), kind="other")
                else:
                    parts.button("Start", lambda: _switch(view, found, "start"), kind="other")
        if found.reason or found.hint:
            parts.problem(f"{(found.reason or '').replace('_', ' ')}. {found.hint}".strip(". "))
        if found.agent.error:
            parts.problem(found.agent.error)
        listeners = (("MQTT", found.mqtt), ("MQTT over TLS", found.mqtts), ("WebSocket", found.websocket))
        pairs: list[parts.Fact] = [
            *((title, partial(parts.copied, str(at), f"the {title} address")) for title, at in listeners if at),
            ("Without a user", _without_user(found)),
            ("Broker", broker),
            ("Agent", lambda: parts.state(agent)),
        ]
        if found.aws:
            pairs += _account(found.aws)
        if found.vpc:
            pairs.append(("VPC", f"{found.vpc}, {found.cidr}" if found.cidr else found.vpc))
            pairs.append(("Zones", ", ".join(_zone(subnet, bool(found.aws)) for subnet in found.subnets)))
        parts.facts(pairs)


def _account(aws: DeploymentAccount) -> list[parts.Fact]:
    """Whose network it is, of a deployment in a VPC that was there before."""
    whose = aws.role or (f"profile {aws.profile}" if aws.profile else "the platform's own")
    return [
        ("AWS account", whose),
        ("Region", aws.region or "the platform's"),
        ("Security groups", ", ".join(aws.security_groups) or "the VPC's default"),
    ]


def _zone(subnet: Subnet, named: bool) -> str:
    return f"{subnet.zone} ({subnet.id}, {subnet.cidr})" if named else f"{subnet.zone} ({subnet.cidr})"


async def _delete(view: Desk, name: str) -> None:
    inside = view.now.inside(name)
    if inside is None:
        return
    found = inside.deployment
    text = "Its broker, its network, and every link, resource and rule in it are removed. This cannot be undone."
    await view.remove(
        "deployment", found.name, text, lambda client: client.delete_deployment(found.id, cascade=True), "/deployments"
    )


async def _switch(view: Desk, found: DeploymentAnswer, verb: Literal["start", "stop"]) -> None:
    await view.act(lambda client: client.switch(found.id, verb))


async def _provider(view: Desk, name: str) -> None:
    """What a provider must know of it; a broker of somebody's own has no network to link from."""
    try:
        offer = await view.ask(lambda client: client.offer(name))
    except ClientError:
        return
    with parts.tag("details", "card"):
        parts.tag("summary", text="What a provider must know: zones and ARN")
        for zone in offer.zones:
            parts.copied(zone, f"the zone {zone}")
        parts.copied(offer.principal, "the AWS ARN")


class Links:
    """The private links: of many the first, those in trouble before the others, and a field to find the rest."""

    def __init__(self, view: Desk, deployment: str) -> None:
        self._view, self._deployment = view, deployment
        with parts.card():
            with parts.row("between"):
                parts.heading("Private links")
                parts.go("+PrivateLink", f"/deployments/{deployment}/private-links/new")
            self._wanted = parts.field("Find by name, state or service", on_change=self._draw)
            self._place = parts.stack()
        self._shown: object = None
        view.follow(lambda _: self._draw())
        self._draw()

    def _draw(self) -> None:
        links = _links_of(self._view.now.inside(self._deployment))
        found = [link for link in links if _fits(link, (self._wanted.value or "").strip().lower())]
        found.sort(key=lambda link: link.status is LinkStatus.RUNNING)
        value = (len(links), len(found), found[:ROWS])
        if value == self._shown:
            return
        self._shown = value
        self._wanted.set_visibility(len(links) > 5)
        leave(self._place, self._place)
        with self._place:
            if not links:
                parts.say(
                    "A private link leads from this deployment to one service in somebody else's network, "
                    "after they agreed. Begin with +PrivateLink: it shows what the provider must know.",
                    "muted",
                )
                return
            if len(found) > ROWS:
                parts.say(f"{ROWS} of {len(found):,}, those in trouble first.", "muted")
            with parts.table(("Name", "Status", "Address", ""), "Private links"):
                for link in found[:ROWS]:
                    _link_row(self._view, self._deployment, link)


def _fits(link: PrivateLinkView, text: str) -> bool:
    return text in f"{link.name} {link.status.replace('_', ' ')} {link.service_name}".lower()


def _link_row(view: Desk, name: str, link: PrivateLinkView) -> None:
    with parts.tag("tr"):
        with parts.tag("td"):
            ui.link(link.name, f"/deployments/{name}/private-links/{link.name}")
        with parts.tag("td"):
            parts.state(link.status)
            if link.reason:
                parts.say(link.reason.replace("_", " "), "muted")
        with parts.tag("td"):
            for address in link.addresses or ((link.address,) if link.address else ()):
                parts.copied(address, f"the address {address}")
        with parts.tag("td"):
            parts.button("Delete", lambda: delete_link(view, name, link), kind="danger").props(
                f'aria-label="Delete private link {link.name}"'
            )


def _without_user(found: DeploymentAnswer) -> str:
    """Where devices connect without a user."""
    if found.remote is not None:
        return "as the broker's owner has it"
    until = ", until there is an MQTT user" if found.without_user and found.anonymous is None else ""
    return f"devices connect by {', '.join(found.without_user)}{until}" if found.without_user else "nobody connects"
