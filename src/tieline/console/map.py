"""The picture: VPCs with their zones, the wire to each service by state, and the backends behind it, as SVG text."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from tieline.cloud.dependants import goes_through
from tieline.cloud.records import LinkStatus, PrivateLinkView
from tieline.console.parts import SHAPES, kind_of
from tieline.console.snapshot import Inside, Snapshot

WIDTH = 960
LEFT, WIRE, RIGHT = 16, 316, 596  # left edges of the deployment's box, the wire, the provider's box
BOX_LEFT, BOX_RIGHT = 300, 348
HEAD, LINE, GAP = 64, 60, 20
LINKS = 12  # drawn one by one per deployment, those in trouble first; the others are counted


def draw(snapshot: Snapshot, prefix: str, moving: frozenset[str] = frozenset()) -> str:
    """The map; `moving` are ids of links that rows were written through since the last look."""
    y, drawn = GAP, []
    for one in snapshot.deployments:
        height, text = _deployment(one, y, prefix, moving)
        drawn.append(text)
        y += height + GAP
    label = f"{len(snapshot.deployments)} deployments and their private links"
    return (
        f'<svg class="map" viewBox="0 0 {WIDTH} {y}" xmlns="http://www.w3.org/2000/svg" role="group" '
        f'aria-label="{label}">{"".join(drawn)}</svg>'
    )


def _deployment(one: Inside, y: int, prefix: str, moving: frozenset[str]) -> tuple[int, str]:
    deployment = one.deployment
    links = sorted(one.links, key=lambda link: link.status is LinkStatus.RUNNING)
    shown, rest = links[:LINKS], links[LINKS:]
    zones = sorted({subnet.zone for subnet in deployment.subnets})
    height = HEAD + LINE * max(1, len(shown) + bool(rest))
    path = f"{prefix}/deployments/{quote(deployment.name)}"
    out = [
        f'<a href="{path}"><rect class="vpc" x="{LEFT}" y="{y}" width="{BOX_LEFT}" height="{height}" rx="8"/>'
        f"{_text(LEFT + 14, y + 24, deployment.name, 'strong', 30)}"
        f"{_state(LEFT + 14, y + 34, deployment.status)}"
        f"{_text(LEFT + 130, y + 45, deployment.cidr or 'outside the platform', 'soft', 24)}</a>"
    ]
    width = (BOX_LEFT - 28 - 8 * max(0, len(zones) - 1)) / max(1, len(zones))
    for n, zone in enumerate(zones):
        x = LEFT + 14 + n * (width + 8)
        out.append(
            f'<rect class="zone" x="{x:.0f}" y="{y + HEAD - 4}" width="{width:.0f}" '
            f'height="{height - HEAD - 8}" rx="6"/>'
            f"{_text(x + 10, y + HEAD + 18, zone, 'soft', 14)}"
        )
    for n, link in enumerate(shown):
        out.append(_link(one, link, y + HEAD + n * LINE, f"{path}/private-links/{quote(link.name)}", link.id in moving))
    if rest:
        out.append(
            _text(WIRE + 12, y + HEAD + len(shown) * LINE + 28, f"and {len(rest)} more, all running", "soft", 40)
        )
    if not links:
        out.append(_text(WIRE + 24, y + HEAD + 20, "no private link yet", "soft", 40))
    return height, "".join(out)


def _link(one: Inside, link: PrivateLinkView, y: int, path: str, moving: bool) -> str:
    middle = y + 24
    backends = [resource for resource in one.resources if goes_through(resource.server, link)]
    told = ", ".join(f"{resource.name}: {resource.status}" for resource in backends) or "no resource uses it"
    ports = ", ".join(str(port) for port in link.ports)
    service = link.service_name.rsplit(".", 1)[-1]
    return (
        f'<a href="{path}"><g class="{kind_of(link.status)}">'
        f'<path class="wire{" moving" if moving else ""}" d="M{WIRE} {middle}H{RIGHT}"/>'
        f"{_shape(WIRE + 12, middle - 22, link.status)}"
        f'<text class="word" x="{WIRE + 30}" y="{middle - 11}">{escape(link.status.replace("_", " "))}</text></g>'
        f"{_text(WIRE + 12, middle + 19, link.name, 'strong', 34)}"
        f'<rect class="vpc" x="{RIGHT}" y="{y}" width="{BOX_RIGHT}" height="50" rx="8"/>'
        f"{_text(RIGHT + 14, y + 20, f'{service} {ports}', '', 44)}"
        f"{_text(RIGHT + 14, y + 39, told, 'soft', 48)}</a>"
    )


def _state(x: float, y: float, state: str) -> str:
    return (
        f'<g class="{kind_of(state)}">{_shape(x, y, state)}<text class="word" x="{x + 18}" y="{y + 11}">'
        f"{escape(state)}</text></g>"
    )


def _shape(x: float, y: float, state: str) -> str:
    return f'<g transform="translate({x} {y})" fill="currentColor" stroke="currentColor">{SHAPES[kind_of(state)]}</g>'


def _text(x: float, y: float, text: str, classes: str, longest: int) -> str:
    return f'<text class="{classes}" x="{x:.0f}" y="{y:.0f}">{escape(_cut(text, longest))}</text>'


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
