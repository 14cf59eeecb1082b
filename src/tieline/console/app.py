"""Mounts the console's pages under /console of the cloud's own application."""

from __future__ import annotations

import argparse
import asyncio
import logging
from importlib import import_module
from pathlib import Path

from fastapi import FastAPI
from nicegui import app as pages_app
from nicegui import ui
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.routing import Route

from tieline.cloud.api.server import HOST
from tieline.cloud.platform.platform import Platform
from tieline.console.session import context, entrance, sockets
from tieline.console.session.gate import PREFIX, Gate
from tieline.console.session.sessions import Sessions

PAGES = (
    "home.overview",
    "deployments.deployments",
    "deployments.new_deployment",
    "deployments.deployment",
    "links.wizard",
    "links.link",
    "integration.resource",
    "integration.rule",
    "integration.letters",
    "home.demo",
    "access.access",
    "settings.settings",
)
PROVIDER_PAGES = ("groups", "balancers", "services", "account")
# A page that lost its connection for less than this goes on where it was; after that it is loaded again, and what was
# typed is gone. NiceGUI takes a browser for lost that is silent for two fifths of it: 4 s were too few on a busy one.
RECONNECT_SECONDS = 30.0
# What is typed and clicked before the page's connection stands would reach the server in any order, and before the page
# is complete it would lack what is not there yet: it has to wait.
READY = """<script>(function ready() {
  const page = document.querySelector('#content[data-built]');
  if (window.did_handshake && page) page.removeAttribute('disabled'); else setTimeout(ready, 20);
})()</script>"""
FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<path d="M1 8h4m6 0h4M5 4h6v8H5z" stroke="#0a6b62" stroke-width="2" fill="none"/></svg>'
)


def install(app: FastAPI, chosen: argparse.Namespace, port: int) -> None:
    """Add the console to the application of a platform that listens on `port`."""
    place = context.Place(chosen.state.resolve(), f"http://{HOST}:{port}", chosen.aws_endpoint or "", chosen.region)
    platform: Platform = app.state.platform
    sessions = Sessions(platform.records, platform.vault)
    context.current = context.Console(app, platform.vault, platform.pulse, place, sessions)
    for name in PAGES:
        import_module(f"tieline.console.pages.{name}")
    for name in PROVIDER_PAGES:
        import_module(f"tieline.console.provider.{name}")

    app.router.routes.append(Route("/", home))
    ui.add_css(Path(__file__).with_name("style.css"), shared=True)
    ui.add_head_html(READY, shared=True)
    pages_app.include_router(entrance.router)
    pages_app.add_middleware(Gate, sessions=sessions)
    sockets.guard(sessions)
    pages_app.add_exception_handler(404, missing)
    for name in ("nicegui", "httpx"):  # each page and each look at the state would be a line
        logging.getLogger(name).setLevel(logging.WARNING)
    ui.run_with(
        app,
        mount_path=PREFIX,
        title="tieline",
        dark=None,
        language="en-US",
        favicon=FAVICON,
        tailwind=False,
        binding_refresh_interval=None,
        reconnect_timeout=RECONNECT_SECONDS,
        show_welcome_message=False,
    )
    pages_app.on_startup(_started)


async def home(_: Request) -> RedirectResponse:
    """The machine's own address leads to the console."""
    return RedirectResponse(f"{PREFIX}/")


async def missing(_: Request, __: Exception) -> PlainTextResponse:
    """What is not there: a few bytes. NiceGUI's own answer is a page, which is kept for a while for each that asks."""
    return PlainTextResponse(f"There is no such page. The console begins at {PREFIX}/\n", 404)


async def _started() -> None:
    context.current.loop = asyncio.get_running_loop()
    context.current.watching = asyncio.create_task(sockets.watch(context.current.sessions), name="sessions of pages")
    pages_app.on_shutdown(context.current.watching.cancel)
