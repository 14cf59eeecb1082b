"""The picture: VPCs with their zones, the wire to each service by state, and the backends behind it, as SVG text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from urllib.parse import quote

from tieline.cloud.model.records import LinkStatus, PrivateLinkView
from tieline.cloud.resources.dependants import goes_through
from tieline.cloud.schemas.answers import ResourceAnswer
from tieline.console.frame.parts import SHAPES, kind_of
from tieline.console.live.snapshot import Inside, Snapshot
from tieline.console.pages.home.backing import Backing

WIDTH = 960
LEFT, WIRE, RIGHT = 16, 316, 596  # left edges of the deployment's box, the wire, the provider's box
BOX_LEFT, BOX_RIGHT = 300, 348
HEAD, TEXT, GAP = 64, 19, 20
LINKS = 12  # drawn one by one per deployment, those in trouble first; the others are counted
DEPLOYMENTS = 40  # drawn, those in trouble first
BACKENDS = 5  # lines of a link
NOTHING: Mapping[str, Backing] = {}


def draw(snapshot: Snapshot, prefix: str, services: Mapping[str, Backing] = NOTHING) -> str:
    """The map; `services` is what is known of the provider's side, by the service's name.

    The rate of a link is written later into the element rate-<id>, and wire-<id> then moves.
    """
    y, drawn = GAP, []
    ones = sorted(snapshot.deployments, key=lambda one: not _troubled(one))
    for one in ones[:DEPLOYMENTS]:
        height, text = _deployment(one, y, prefix, services)
        drawn.append(text)
        y += height + GAP
    if len(ones) > DEPLOYMENTS:
        drawn.append(_text(LEFT, y + 8, f"and {len(ones) - DEPLOYMENTS} more deployments, none in trouble", "soft", 60))
        y += GAP
    label = f"{len(ones)} deployments and their private links"
    return (
        f'<svg class="map" viewBox="0 0 {WIDTH} {y}" xmlns="http://www.w3.org/2000/svg" role="group" '
        f'aria-label="{label}">{"".join(drawn)}</svg>'
    )


def _troubled(one: Inside) -> bool:
    return one.deployment.status == "failed" or any(link.status is LinkStatus.FAILED for link in one.links)


def _deployment(one: Inside, y: int, prefix: str, services: Mapping[str, Backing]) -> tuple[int, str]:
    deployment = one.deployment
    links = sorted(one.links, key=lambda link: link.status is LinkStatus.RUNNING)
    shown, rest = links[:LINKS], links[LINKS:]
    path = f"{prefix}/deployments/{quote(deployment.name)}"
    top, wires = y + HEAD - 20, []
    for link in shown:
        height, text = _link(
            one, link, top, f"{path}/private-links/{quote(link.name)}", services.get(link.service_name)
        )
        wires.append(text)
        top += height + 10
    if rest:
        wires.append(_text(WIRE + 12, top + 24, f"and {len(rest)} more, all running", "soft", 40))
        top += 44
    if not links:
        wires.append(_text(WIRE + 24, top + 40, "no private link yet", "soft", 40))
    height = max(HEAD + 60, top - y)
    box = (
        f'<a href="{path}"><rect class="vpc" x="{LEFT}" y="{y}" width="{BOX_LEFT}" height="{height}" rx="8"/>'
        f"{_text(LEFT + 14, y + 24, deployment.name, 'strong', 30)}"
        f"{_state(LEFT + 14, y + 34, deployment.status)}"
        f"{_text(LEFT + 130, y + 45, deployment.cidr or 'outside the platform', 'soft', 24)}</a>"
    )
    zones = _zones(sorted({subnet.zone for subnet in deployment.subnets}), y + HEAD - 4, height - HEAD - 8)
    return height, box + zones + "".join(wires)


def _zones(zones: Sequence[str], y: int, height: int) -> str:
    width = (BOX_LEFT - 28 - 8 * max(0, len(zones) - 1)) / max(1, len(zones))
    out = []
    for n, zone in enumerate(zones):
        x = LEFT + 14 + n * (width + 8)
        out.append(
            f'<rect class="zone" x="{x:.0f}" y="{y}" width="{width:.0f}" height="{height}" rx="6"/>'
            f"{_text(x + 10, y + 22, zone, 'soft', 14)}"
        )
    return "".join(out)


def _link(one: Inside, link: PrivateLinkView, y: int, path: str, backing: Backing | None) -> tuple[int, str]:
    resources = [resource for resource in one.resources if goes_through(resource.server, link)]
    lines = _backends(resources, backing)
    height = 32 + TEXT * len(lines)
    middle = y + 26
    ports = ", ".join(str(port) for port in link.ports)
    service = link.service_name.rsplit(".", 1)[-1]
    id = escape(link.id, quote=True)
    behind = "".join(
        (_state(RIGHT + 14, y + 28 + TEXT * n, state, f"{text}: {state.replace('_', ' ')}", 42))
        if state
        else _text(RIGHT + 14, y + 39 + TEXT * n, text, "soft", 44)
        for n, (text, state) in enumerate(lines)
    )
    return height, (
        f'<a href="{path}"><g class="{kind_of(link.status)}">'
        f'<path class="wire" id="wire-{id}" d="M{WIRE} {middle}H{RIGHT}"/>'
        f"{_shape(WIRE + 12, middle - 22, link.status)}"
        f'<text class="word" x="{WIRE + 30}" y="{middle - 11}">{escape(link.status.replace("_", " "))}</text></g>'
        f"{_text(WIRE + 12, middle + 19, link.name, 'strong', 22)}"
        f'<text class="soft rate" id="rate-{id}" x="{RIGHT - 10}" y="{middle + 19}"></text>'
        f'<rect class="vpc" x="{RIGHT}" y="{y}" width="{BOX_RIGHT}" height="{height}" rx="8"/>'
        f"{_text(RIGHT + 14, y + 20, f'{service} {ports}', '', 44)}{behind}</a>"
    )


def _backends(resources: Sequence[ResourceAnswer], backing: Backing | None) -> list[tuple[str, str]]:
    """Text and state of each line in a service's box: what this side knows, then what the provider's side does."""
    lines = [(f"resource {resource.name}", resource.status) for resource in resources]
    if backing is not None:
        lines += [(backing.vpc, ""), (f"{backing.balancer} in {', '.join(backing.zones)}", "")]
        lines += [(target, health) for target, health in backing.targets]
    if len(lines) > BACKENDS:
        lines = [*lines[: BACKENDS - 1], (f"and {len(lines) - BACKENDS + 1} more", "")]
    return lines or [("no resource uses it", "")]


def _state(x: float, y: float, state: str, shown: str = "", longest: int = 30) -> str:
    return (
        f'<g class="{kind_of(state)}">{_shape(x, y, state)}<text class="word" x="{x + 18}" y="{y + 11}">'
        f"{escape(_cut(shown or state, longest))}</text></g>"
    )


def _shape(x: float, y: float, state: str) -> str:
    return f'<g transform="translate({x} {y})" fill="currentColor" stroke="currentColor">{SHAPES[kind_of(state)]}</g>'


def _text(x: float, y: float, text: str, classes: str, longest: int) -> str:
    return f'<text class="{classes}" x="{x:.0f}" y="{y:.0f}">{escape(_cut(text, longest))}</text>'


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
