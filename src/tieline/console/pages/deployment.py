"""One deployment: what it is, and the tabs Network management, Data integration and Monitoring."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from tieline.cloud.answers import DeploymentAnswer, ResourceAnswer
from tieline.cloud.records import PrivateLinkView
from tieline.console import parts
from tieline.console.pages.integration import resources, rules
from tieline.console.pages.monitoring import monitoring
from tieline.console.shell import Desk, desk, frame, trail
from tieline.console.snapshot import Inside

TABS = {"network": "Network management", "integration": "Data integration", "monitoring": "Monitoring"}


@ui.page("/deployments/{name}", response_timeout=15)
async def deployment(request: Request, name: str, tab: str = "network") -> None:
    """The page."""
    view = await desk(request)
    tab = tab if tab in TABS else "network"
    with frame(f"Deployment {name}", "/deployments"):
        trail(("Deployments", "/deployments"))
        parts.heading(f"Deployment {name}", 1)
        view.live(lambda now: now.inside(name) is None, lambda gone: _gone(name) if gone else None)
        view.live(lambda now: _only(now.inside(name)), lambda found: _about(view, found) if found else None)
        with parts.tag("nav", "tabs").props('aria-label="Parts of the deployment"'):
            for key, title in TABS.items():
                link = ui.link(title, f"/deployments/{name}?tab={key}")
                if key == tab:
                    link.props("aria-current=page")
        if tab == "network":
            view.live(lambda now: _links_of(now.inside(name)), lambda found: _links(view, name, found))
        elif tab == "integration":
            view.live(lambda now: _parts(now.inside(name)), lambda found: resources(view, name, *found))
            view.live(lambda now: _rules_of(now.inside(name)), lambda found: rules(view, name, found))
        else:
            view.live(lambda now: now.inside(name), lambda found: monitoring(found) if found else None)


def _only(found: Inside | None) -> DeploymentAnswer | None:
    return found.deployment.model_copy(update={"revision": 0}) if found else None


def _links_of(found: Inside | None) -> tuple[PrivateLinkView, ...]:
    return found.links if found else ()


def _parts(found: Inside | None) -> tuple[tuple[ResourceAnswer, ...], bool]:
    return (found.resources, bool(found.links)) if found else ((), False)


def _rules_of(found: Inside | None) -> tuple[tuple[object, ...], bool]:
    if not found:
        return (), False
    shown = tuple((rule.name, rule.status, rule.reason, rule.sql, rule.actions) for rule in found.rules)
    return shown, bool(found.resources)


def _gone(name: str) -> None:
    parts.empty(f"There is no deployment {name}, or no longer.", "All deployments", "/deployments")


def _about(view: Desk, found: DeploymentAnswer) -> None:
    agent = "connected" if found.agent.connected else "disconnected"
    broker = "accepts connections" if found.agent.broker else "does not accept connections"
    with parts.card():
        with parts.row("between"):
            parts.state(found.status)
            with parts.row():
                parts.button("Delete deployment", lambda: _delete(view, found), kind="danger")
        if found.reason or found.hint:
            parts.problem(f"{(found.reason or '').replace('_', ' ')}. {found.hint}".strip(". "))
        if found.agent.error:
            parts.problem(found.agent.error)
        pairs: list[parts.Fact] = [
            ("MQTT", lambda: parts.copied(str(found.mqtt), "the MQTT address")),
            ("Broker", broker),
            ("Agent", lambda: parts.state(agent)),
        ]
        if found.vpc:
            pairs.append(("VPC", f"{found.vpc}, {found.cidr}"))
            pairs.append(("Zones", ", ".join(f"{subnet.zone} ({subnet.cidr})" for subnet in found.subnets)))
        parts.facts(pairs)


async def _delete(view: Desk, found: DeploymentAnswer) -> None:
    text = "Its broker, its network, and every link, resource and rule in it are removed. This cannot be undone."
    await view.remove(
        "deployment", found.name, text, lambda client: client.delete_deployment(found.id, cascade=True), "/deployments"
    )


def _links(view: Desk, name: str, links: tuple[PrivateLinkView, ...]) -> None:
    with parts.card():
        with parts.row("between"):
            parts.heading("Private links")
            parts.go("+PrivateLink", f"/deployments/{name}/private-links/new")
        if not links:
            parts.say(
                "A private link leads from this deployment to one service in somebody else's network, "
                "after they agreed. Begin with +PrivateLink: it shows what the provider must know.",
                "muted",
            )
            return
        with parts.table(("Name", "Status", "Address", ""), "Private links"):
            for link in links:
                _link_row(view, name, link)


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


async def delete_link(view: Desk, deployment: str, link: PrivateLinkView) -> None:
    """Ask, naming what uses the link, and delete it all."""
    from tieline.console.pages.link import dependants

    using = dependants(view.now.inside(deployment), link)
    text = "The endpoint and its addresses go. This cannot be undone."
    if using:
        text = f"In use by {', '.join(using)}. These are deleted as well. {text}"
    await view.remove(
        "private link",
        link.name,
        text,
        lambda client: client.delete_link(deployment, link.id, cascade=bool(using)),
        f"/deployments/{deployment}",
    )
