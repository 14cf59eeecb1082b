"""One private link: its state with reason and hint, its hops, its addresses, what uses it, its history."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request

from tieline.client.connect.connect import examine
from tieline.cloud.aws.client import Aws
from tieline.cloud.doctor.hops import Diagnosis, Verdict
from tieline.cloud.model.records import HistoryEntry, LinkStatus, PrivateLinkView
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk, desk, frame, trail
from tieline.console.frame.traffic import carried
from tieline.console.live.snapshot import Inside
from tieline.console.pages.links.link_users import delete_link, users
from tieline.console.provider.account import ProviderView, also_provider
from tieline.console.session.leaving import leave

WORDS = {Verdict.PASS: "passed", Verdict.FAIL: "failed", Verdict.UNKNOWN: "unknown"}


@ui.page("/deployments/{name}/private-links/{key}", response_timeout=15)
async def link(request: Request, name: str, key: str) -> None:
    """The page."""
    view = await desk(request)
    with frame(f"Private link {key}", "/deployments"):
        trail(("Deployments", "/deployments"), (name, f"/deployments/{name}"))
        with parts.row("between"):
            parts.heading(f"Private link {key}", 1)
            parts.button("Delete", lambda: _delete(view, name, key), kind="danger")
        view.live(lambda now: _shown(now.inside(name), key), lambda found: _about(view, name, key, found))
        view.live(lambda now: _addresses(now.inside(name), key), lambda found: _use(name, key, found))
        doctor = Doctor(view, name, key, await also_provider(request))
        view.live(lambda now: getattr(_find(now.inside(name), key), "status", None), doctor.changed)
        await carried(view, name, key)
        view.live(lambda now: _using(now.inside(name), key), lambda found: _dependants(name, found))
        view.live(lambda now: getattr(_find(now.inside(name), key), "history", ()), _history)


def _find(inside: Inside | None, key: str) -> PrivateLinkView | None:
    return inside.link(key) if inside else None


def _shown(inside: Inside | None, key: str) -> PrivateLinkView | None:
    """A link without its history, which has a section of its own."""
    found = _find(inside, key)
    return found.model_copy(update={"history": ()}) if found else None


def _addresses(inside: Inside | None, key: str) -> tuple[LinkStatus | None, tuple[str, ...], tuple[int, ...]]:
    found = _find(inside, key)
    return (found.status, found.addresses or (found.address,), found.ports) if found else (None, (), ())


def _using(inside: Inside | None, key: str) -> list[tuple[str, str]] | None:
    found = _find(inside, key)
    return users(inside, found) if found else None


def _about(view: Desk, deployment: str, key: str, found: PrivateLinkView | None) -> None:
    if found is None:
        parts.empty(f"There is no private link {key}, or no longer.", "The deployment", f"/deployments/{deployment}")
        return
    with parts.card():
        with parts.row("between"):
            parts.state(found.status)
            with parts.row():
                if found.status is LinkStatus.FAILED:
                    parts.button("Reconnect", lambda: _reconnect(view, deployment, found), kind="other")
        if found.reason:
            parts.tag("strong", text=f"Reason: {found.reason.replace('_', ' ')}")
        if found.hint:
            parts.say(f"What helps: {found.hint}", "hint")
        if found.cause:
            parts.tag("pre", text=found.cause)
        parts.facts(
            [
                ("Service", lambda: parts.copied(found.service_name, "the service name")),
                ("Endpoint", found.endpoint),
                ("Zones", ", ".join(found.zones)),
                ("Created", parts.when(found.created)),
            ]
        )


async def _delete(view: Desk, deployment: str, key: str) -> None:
    """The button stays where it is while the state changes: what is clicked is what was seen."""
    found = _find(view.now.inside(deployment), key)
    if found is not None:
        await delete_link(view, deployment, found)


async def _reconnect(view: Desk, deployment: str, found: PrivateLinkView) -> None:
    await view.act(lambda client: client.reconnect_link(deployment, found.id))


def _use(deployment: str, key: str, found: tuple[LinkStatus | None, tuple[str, ...], tuple[int, ...]]) -> None:
    status, addresses, ports = found
    if status is None:
        return
    with parts.card("Address"):
        if status is not LinkStatus.RUNNING:
            parts.say("The address is known when the link runs.", "muted")
            return
        for address in addresses:
            parts.copied(address, f"the address {address}")
        parts.say("It resolves inside the deployment only. Use it as the Server of a resource.", "muted")
        with parts.row():
            server = f"link:{key}:{ports[0] if ports else 5432}"
            parts.go("Use it: New Resource", f"/deployments/{deployment}/resources/new?server={quote(server)}")


class Doctor:
    """The hops, looked at when the page opens, when the state changes, and when asked.

    Where the same person is signed in to the account that provides the service, that is asked as well.
    """

    def __init__(self, view: Desk, deployment: str, key: str, provider: ProviderView | None) -> None:
        self._view, self._deployment, self._key, self._provider = view, deployment, key, provider
        self._place = parts.stack()
        self._turn = 0  # of the last look; what an earlier one finds after it is of another state

    def changed(self, status: LinkStatus | None) -> None:
        """The link's state is another one now."""
        self._turn += 1
        if status in (None, LinkStatus.DELETING):
            self._place.clear()
        else:
            self._view.soon(self.look)

    async def look(self) -> None:
        """Diagnose, and draw."""
        self._turn = turn = self._turn + 1
        witness = self._witness()
        found = await self._view.act(
            lambda client: asyncio.run(examine(client, self._deployment, self._key, witness)), lambda _: None
        )
        if turn != self._turn:
            return
        leave(self._place, self._place)
        if found is not None:
            with self._place:
                self._draw(found)

    def _witness(self) -> Aws | None:
        """The provider's account, where the service is its own."""
        link = _find(self._view.now.inside(self._deployment), self._key)
        if self._provider is None or link is None:
            return None
        own = [service.name for service in self._provider.now.services]
        return self._provider.account.witness if link.service_name in own else None

    def _draw(self, found: Diagnosis) -> None:
        with parts.card():
            with parts.row("between"):
                parts.heading("Hops")
                parts.button("Look again", self.look, kind="other")
            with parts.tag("ol", "hops"):
                for hop in found.hops:
                    word = WORDS[hop.verdict]
                    with parts.tag("li", parts.kind_of(word)):
                        parts.tag("strong", text=hop.hop)
                        parts.state(word)
                        parts.say(hop.evidence, "muted")
            for hop in found.hops:
                if hop.hop == found.failing:
                    parts.problem(f"{hop.hop}: {hop.evidence}\n{hop.hint}")


def _dependants(deployment: str, using: list[tuple[str, str]] | None) -> None:
    if using is None:
        return
    with parts.card("Used by"):
        if using:
            with parts.tag("ul", "list"):
                for kind, name in using:
                    with parts.tag("li"):
                        ui.link(f"{kind} {name}", f"/deployments/{deployment}/{kind}s/{name}")
        else:
            parts.say("Nothing: it can be deleted.", "muted")


def _history(history: tuple[HistoryEntry, ...]) -> None:
    if history:
        with parts.card("History"):
            parts.listing(map(parts.told, reversed(history)))
