"""`python tests/console/pictures.py`: takes the pictures of docs/images again, of a world that it makes and removes."""

from __future__ import annotations

import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from console import browsing
from console.walk import DEPLOYMENT, LINK, RESOURCE, RULE, Walk, made_customer
from tieline.demo.devices import publish, readings
from world.running import Tieline, until

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
PAGES = {
    "overview": "/",
    "deployments": "/deployments",
    "new-deployment": "/deployments/new",
    "network": f"/deployments/{DEPLOYMENT}",
    "integration": f"/deployments/{DEPLOYMENT}?tab=integration",
    "monitoring": f"/deployments/{DEPLOYMENT}?tab=monitoring",
    "wizard": f"/deployments/{DEPLOYMENT}/private-links/new",
    "service-name": f"/deployments/{DEPLOYMENT}/private-links/new?step=2",
    "link": f"/deployments/{DEPLOYMENT}/private-links/{LINK}",
    "resource": f"/deployments/{DEPLOYMENT}/resources/new?server=link:{LINK}:5432",
    "change-resource": f"/deployments/{DEPLOYMENT}/resources/{RESOURCE}",
    "new-rule": f"/deployments/{DEPLOYMENT}/rules/new",
    "rule": f"/deployments/{DEPLOYMENT}/rules/{RULE}",
    "dead-letters": f"/deployments/{DEPLOYMENT}/dead-letters",
    "mqtt-users": f"/deployments/{DEPLOYMENT}?tab=users",
    "demo": "/demo",
    "users": "/access",
    "keys": "/access?tab=keys",
    "audit": "/access?tab=audit",
    "settings": "/settings",
    "provider": "/provider",
    "target-groups": "/provider/target-groups",
    "load-balancers": "/provider/load-balancers",
    "endpoint-services": "/provider/endpoint-services",
}
WIDE_LIGHT, WIDE_DARK, NARROW_LIGHT, NARROW_DARK = (1280, False), (1280, True), (360, False), (360, True)
NARROW = {"overview", "network", "wizard", "link", "endpoint-services"}  # few: they weigh on every checkout


def main() -> None:
    """Take every picture."""
    with tempfile.TemporaryDirectory() as directory, browsing.browser() as running:
        tieline = Tieline(Path(directory) / "state", f"tl-{secrets.token_hex(3)}")
        try:
            tieline.up()
            walk = Walk(tieline.rest, tieline.state, browsing.page_of(running), browsing.page_of(running))
            walk.perform(made_customer(tieline))
            _publish(tieline)
            for name, path in PAGES.items():
                page = walk.provider if path.startswith("/provider") else walk.consumer
                _take(page, walk.url + path, name, *WIDE_LIGHT)
                if name in NARROW:
                    _take(page, walk.url + path, name, *NARROW_DARK)
            _take(walk.consumer, walk.url, "overview", *WIDE_DARK)
            _take(walk.consumer, walk.url + PAGES["integration"], "integration", *NARROW_LIGHT)
        finally:
            tieline.down()


def _publish(tieline: Tieline) -> None:
    """Messages, so that something is counted."""
    with tieline.client() as client:
        mqtt = client.deployment(DEPLOYMENT).mqtt
        publish(mqtt.host, mqtt.port, readings(200))
        until(
            lambda: client.rules(DEPLOYMENT)[0].action_metrics[0].get("success", 0), lambda rows: rows > 0, seconds=60
        )


def _take(page: Any, url: str, name: str, width: int, dark: bool) -> None:
    look = f"{'wide' if width > 1000 else 'narrow'}-{'dark' if dark else 'light'}"
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
    page.goto(url)
    page.locator("#content:not([disabled])").wait_for()
    page.wait_for_timeout(1500)
    page.screenshot(path=str(IMAGES / f"console-{name}-{look}.png"), full_page=True)


if __name__ == "__main__":
    main()
