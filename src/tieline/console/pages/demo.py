"""The demo: the guide's whole world, made step by step, each step with what it found."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from nicegui import ui
from starlette.requests import Request

from tieline.cloud.client import ClientError
from tieline.cloud.guard.records import EVERY
from tieline.cloud.guard.roles import Role
from tieline.console import context, parts
from tieline.console.shell import Desk, desk, frame, words
from tieline.demo.story import Place, Story

log = logging.getLogger(__name__)
PREFIX_FILE, CREDENTIALS = "prefix", "credentials"  # of the state directory, on one machine only


@dataclass
class Run:
    """How far the one demo of this process is."""

    titles: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    problem: str = ""
    task: asyncio.Task[None] | None = None


run = Run()


def available() -> bool:
    """Whether the world is this machine's own: on AWS the demo would cost money."""
    place = context.current.place
    return bool(place.wire) and (place.state / CREDENTIALS).exists() and (place.state / PREFIX_FILE).exists()


@ui.page("/demo", response_timeout=15)
async def demo(request: Request) -> None:
    """The page."""
    view = await desk(request)
    with frame("Demo", "/"):
        parts.heading("The guide's whole world", 1)
        if not available():
            parts.empty("The demo runs with tieline up, on one machine.", "Overview", "/")
            return
        with parts.card():
            parts.say(
                "One click makes a deployment, and in another account a network with the same addresses and a "
                "PostgreSQL. Then both sides follow the guide: offer, endpoint service, private link, consent, "
                "resource, rule. At the end 1,000 messages are published and the rows counted."
            )
            with parts.row():
                start = parts.button("Build the demo world", lambda: _start(view))
                ui.link("Watch it on the overview", "/")
        shown = parts.stack()
        drawn: list[object] = []

        def draw() -> None:
            now = [len(run.titles), len(run.results), run.problem]
            start.set_enabled(run.task is None or run.task.done())
            if now != drawn:
                drawn[:] = now
                shown.clear()
                with shown:
                    _steps()

        ui.timer(0.3, draw)


def _steps() -> None:
    if not run.titles:
        return
    with parts.card("Steps"), parts.tag("ol", "list"):
        for number, title in enumerate(run.titles):
            with parts.tag("li"):
                with parts.row():
                    parts.state(_word(number))
                    parts.tag("strong", text=title)
                if number < len(run.results):
                    parts.say(run.results[number], "muted")
                elif number == len(run.results) and run.problem:
                    parts.problem(run.problem)


def _word(number: int) -> str:
    done = len(run.results)
    if number < done:
        return "passed"
    if number > done:
        return "to do"
    return "failed" if run.problem else "running now"


async def _start(view: Desk) -> None:
    """Begin, for somebody who may make everything that the demo makes."""
    if run.task is not None and not run.task.done():
        return
    who = await view.act(lambda client: client.identity())
    if who is None:
        return
    if who.role is not Role.ADMINISTRATOR or EVERY not in who.projects:
        ui.notify("Only an administrator of all projects may build the demo world.", type="warning")
        return
    run.titles, run.results, run.problem = [], [], ""
    run.task = asyncio.create_task(_perform(), name="demo")


async def _perform() -> None:
    here = context.current.place
    prefix = (here.state / PREFIX_FILE).read_text().strip()
    try:
        story = await asyncio.to_thread(Story, Place(here.state, prefix, here.rest, here.wire, here.region))
        steps = story.steps()
        run.titles = [title for title, _ in steps]
        for _, step in steps:
            run.results.append(await asyncio.to_thread(step))
    except ClientError as error:
        run.problem = words(error)
    except Exception as error:  # a step may fail in any way, and the page says how
        log.exception("the demo failed")
        run.problem = str(error) or type(error).__name__
