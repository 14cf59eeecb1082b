"""A real browser for tests: Debian's Chromium under Playwright, quiet on the network, with an empty profile."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = shutil.which("chromium") or ""
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT = 60_000  # milliseconds that an assertion waits: the machine may be busy


def obstacle() -> str:
    """Why there is no browser here; "" where there is one."""
    if not CHROMIUM:
        return "the console needs a browser: install the package chromium"
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "the console's tests need the Python package playwright"
    return ""


@contextmanager
def browser() -> Iterator[Any]:
    """A running Chromium; Playwright gives it an empty directory for its profile."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WAIT)
    with sync_playwright() as play:
        running = play.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield running
        finally:
            running.close()


def expected(what: Any) -> Any:
    """Playwright's assertion, which waits."""
    from playwright.sync_api import expect

    return expect(what)


def page_of(running: Any, width: int = 1280, height: int = 900, dark: bool = False) -> Any:
    """A page in a context of its own: nobody is signed in. It fails on what the page's scripts complain about."""
    context = running.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", reduced_motion="reduce"
    )
    context.set_default_timeout(WAIT)
    return context.new_page()
