"""The live map of the overview: drawn anew when something changed, with the present rates written into it."""

from __future__ import annotations

import json

from nicegui import ui
from starlette.requests import Request

from tieline.client.rest import Client, ClientError
from tieline.cloud.schemas.answers import LinkTraffic
from tieline.console.frame import parts
from tieline.console.frame.charts import size
from tieline.console.frame.shell import Desk
from tieline.console.live.feed import shared
from tieline.console.live.snapshot import Snapshot
from tieline.console.pages.home.backing import Backing, backings
from tieline.console.pages.home.map import draw
from tieline.console.provider.account import also_provider
from tieline.console.session.gate import PREFIX
from tieline.console.session.rest import Rest

SECONDS = 1.0  # between two looks at the rates
MOVING = 1.0  # bytes per second: what keeps a connection alive is less
# Texts and motion alone change, so that whoever is at a link with the keyboard stays there.
WRITE = """for (const [id, [text, moving]] of Object.entries(%s)) {
  const rate = document.getElementById('rate-' + id), wire = document.getElementById('wire-' + id);
  if (rate) rate.textContent = text;
  if (wire) wire.classList.toggle('moving', moving);
}"""
Rates = dict[str, tuple[str, bool]]
NOTHING: dict[str, Backing] = {}


class Picture:
    """The map, and what it is made of."""

    def __init__(self, view: Desk) -> None:
        self._view = view
        self._services = NOTHING
        self._rates: Rates = {}
        self._drawn = ""

    async def begin(self, request: Request) -> None:
        """Draw, and follow what changes."""
        view = self._view
        traffic = await view.beside("rates", read, SECONDS)
        self._rates = rates(traffic.now)
        there = await also_provider(request)
        if there is not None:
            self._services = backings(there.now)
        self._place = parts.stack()
        self._draw(view.now)
        view.follow(self._draw)
        traffic.follow(lambda now: self._moved(rates(now)))
        if there is not None:
            there.follow(lambda now: self._known(backings(now)))

    def _known(self, services: dict[str, Backing]) -> None:
        self._services = services
        self._draw(self._view.now)

    def _draw(self, now: Snapshot) -> None:
        svg = picture(now, self._services)
        if svg == self._drawn:
            return
        self._drawn = svg
        self._place.clear()
        if svg:
            with self._place, parts.tag("section", "card scroll").props('role=region tabindex=0 aria-label="Map"'):
                ui.html(svg, sanitize=False)  # every text in it is escaped by draw()
                ui.timer(0.1, self._write, once=True)  # when it is in the page

    def _moved(self, rates: Rates) -> None:
        if rates != self._rates:
            self._rates = rates
            self._write()

    def _write(self) -> None:
        if self._rates:
            told = json.dumps(self._rates).replace("<", "\\u003c")
            self._view.page.run_javascript(WRITE % told)


def read(client: Client) -> tuple[LinkTraffic, ...]:
    """What all links carry; nothing where it cannot be read, for the page tells that elsewhere."""
    assert isinstance(client, Rest)
    try:
        linked = sorted({link.deployment for link in client.links()})
        return tuple(link for id in linked for link in client.traffic(id))
    except ClientError:
        return ()


@shared
def picture(now: Snapshot, services: dict[str, Backing]) -> str:
    """The map of what there is; "" of nothing. Pure."""
    return draw(now, PREFIX, services) if now.deployments else ""


@shared
def rates(traffic: tuple[LinkTraffic, ...]) -> Rates:
    """What stands at each wire, and whether it moves. Pure."""
    found = {}
    for link in traffic:
        there, back = link.sent_per_second, link.received_per_second
        moves = there + back >= MOVING
        text = f"{size(there)}/s → {size(back)}/s ←" if moves else ""
        found[link.id] = (text or (f"{link.flows} open" if link.flows else ""), moves)
    return found
