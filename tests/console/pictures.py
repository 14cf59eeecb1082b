"""`python tests/console/pictures.py`: takes the pictures of docs/images again, of a world that it makes and removes."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.publish as mqtt_publish

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from console import browsing
from console.walk import DEPLOYMENT, LINK, RESOURCE, RULE, Walk, made_customer, sign_in_provider
from tieline.demo.devices import publish, readings
from world.running import Tieline

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
PAGES = {
    "overview": "/",
    "deployments": "/deployments",
    "new-deployment": "/deployments/new",
    "new-deployment-aws": "/deployments/new?provider=aws",
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
LOOKS = WIDE_LIGHT, WIDE_DARK, NARROW_LIGHT, NARROW_DARK = (1280, False), (1280, True), (360, False), (360, True)
KEPT = {  # few: they weigh on every checkout
    *("overview", "network", "integration", "wizard", "link", "resource", "rule", "dead-letters"),
    *("target-groups", "endpoint-services", "users", "audit", "settings"),
}
SECONDS = 20  # of messages before the first picture, so that no chart is empty


def main() -> None:
    """Take the pictures of the documents, or with --all each page in each look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", type=Path, metavar="DIRECTORY", help="every page, wide and narrow, light and dark")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, browsing.browser() as running:
        tieline = Tieline(Path(directory) / "state", f"tl-{secrets.token_hex(3)}")
        over = threading.Event()
        try:
            tieline.up()
            walk = Walk(tieline.rest, tieline.state, browsing.page_of(running), browsing.page_of(running))
            customer = made_customer(tieline)
            walk.perform(customer)
            sign_in_provider(walk.consumer, walk.url, walk.keys)  # one who sees both sides
            threading.Thread(target=_publish, args=(tieline, over), daemon=True).start()
            time.sleep(SECONDS)
            for name, path in PAGES.items():
                for look in LOOKS if chosen.all else _looks(name):
                    _take(walk.consumer, walk.url + path, name, *look, chosen.all or IMAGES)
        finally:
            over.set()
            tieline.down()


def _looks(name: str) -> Iterator[tuple[int, bool]]:
    if name in KEPT:
        yield WIDE_LIGHT
    if name == "overview":
        yield WIDE_DARK
        yield NARROW_DARK
    if name == "wizard":
        yield NARROW_LIGHT


def _publish(tieline: Tieline, over: threading.Event) -> None:
    """Messages, more at one time than at another, and one that the database does not take."""
    with tieline.client() as client:
        mqtt = client.deployment(DEPLOYMENT).mqtt
        client.create_user(name="ada", password="a passphrase of some words", role="operator")
    wrong = json.dumps({"device": "pump\0", "temp": 99})
    mqtt_publish.single("sensors/9", wrong, qos=1, hostname=mqtt.host, port=mqtt.port)
    number = 0
    while not over.wait(0.5 + number % 5 * 0.4):
        number += 1
        publish(mqtt.host, mqtt.port, readings(200))


def _take(page: Any, url: str, name: str, width: int, dark: bool, into: Path) -> None:
    look = f"{'wide' if width > 1000 else 'narrow'}-{'dark' if dark else 'light'}"
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if dark else "light", reduced_motion="reduce")
    page.goto(url)
    page.locator("#content:not([disabled])").wait_for()
    page.wait_for_timeout(2500)
    into.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(into / f"console-{name}-{look}.png"), full_page=True)


if __name__ == "__main__":
    main()
