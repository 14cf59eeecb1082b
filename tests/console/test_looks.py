"""Every page, wide and narrow, light and dark: nothing is cut, the keyboard gets there, axe-core finds nothing bad."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest

from console import browsing
from console.pictures import PAGES
from console.walk import Walk

pytestmark = [pytest.mark.world, pytest.mark.timeout(600)]
BAD = ("serious", "critical")
LOOKS = ((1280, False), (360, True))  # width and darkness: each of the four is seen
READY = """[...document.querySelectorAll('.nicegui-codemirror')].every(one =>
    one.querySelector('.cm-content[aria-label]'))
  && [...document.querySelectorAll('.chart')].every(one => one.querySelector('path'))
  && !document.getAnimations().length"""
CUT = """[...document.querySelectorAll('#content .q-btn')].filter(button => button.scrollWidth > button.clientWidth + 2)
  .map(button => button.innerText)"""


@pytest.fixture(scope="module")
def axe() -> str:
    """axe-core's script, which a Python package brings along."""
    return resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()


@pytest.fixture(autouse=True)
def as_it_was(linked: Walk) -> Iterator[None]:
    """Other tests use the same pages, wide and light."""
    yield
    for page in (linked.consumer, linked.provider):
        page.set_viewport_size({"width": 1280, "height": 900})
        page.emulate_media(color_scheme="light")


def opened(walk: Walk, path: str, width: int, dark: bool) -> Any:
    page = walk.provider if path.startswith("/provider") else walk.consumer
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.goto(walk.url + path)
    page.locator("#content:not([disabled])").wait_for()
    page.wait_for_function(READY)
    return page


@pytest.mark.parametrize("path", PAGES.values(), ids=PAGES)
def test_a_page_fits_its_window_and_axe_finds_nothing_serious(linked: Walk, axe: str, path: str) -> None:
    for width, dark in LOOKS:
        page = opened(linked, path, width, dark)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert not page.evaluate(CUT), width
        page.evaluate(axe)
        assert not [
            f"{width} {violation['id']}: {node['html'][:200]} {node['failureSummary']}"
            for violation in page.evaluate("axe.run().then(result => result.violations)")
            if violation["impact"] in BAD
            for node in violation["nodes"]
        ]


def test_the_keyboard_alone_makes_a_deployment(linked: Walk) -> None:
    page = opened(linked, "/deployments/new", 1280, dark=False)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className").startswith("nicegui-link skip")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('aria-label')") == "Name":
            break
    page.keyboard.type("not a name")
    for _ in range(10):
        page.keyboard.press("Tab")
        if "Create deployment" in page.evaluate("document.activeElement.innerText"):
            break
    page.keyboard.press("Enter")
    browsing.expected(page.get_by_role("alert")).to_contain_text("letters, digits")
