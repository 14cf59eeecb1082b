"""The demo world: the guide's whole world by one click, each step explained beside the map that grows."""

from __future__ import annotations

from nicegui import ui
from starlette.requests import Request

from tieline.cloud.guard.records import EVERY
from tieline.cloud.guard.roles import Role
from tieline.console.frame import parts
from tieline.console.frame.shell import Desk, desk, frame
from tieline.console.pages.home.demo_world import available, world
from tieline.console.pages.home.picture import Picture
from tieline.console.session.rest import Rest, rest
from tieline.demo.journal import Journal
from tieline.demo.steps import STEPS

LOOK_SECONDS = 0.3
NOT_ALLOWED = "Only an administrator of all projects may build or remove the demo world."


@ui.page("/demo", response_timeout=15)
async def demo(request: Request) -> None:
    """The page."""
    view = await desk(request)
    with frame("Demo", "/"):
        parts.heading("The guide's whole world", 1)
        if not available():
            parts.empty("The demo runs with tieline up, on one machine.", "Overview", "/")
            return
        try:
            world.load()
        except (OSError, ValueError) as error:
            parts.problem(f"{world.path} cannot be read: {error}. Remove the file to begin anew.")
            return
        parts.say(
            "One click makes a deployment, and in another account a network with the same addresses and a PostgreSQL. "
            "Then both sides follow the guide: offer, endpoint service, private link, consent, resource, rule. At the "
            "end devices publish 1,000 messages, and the rows are counted where they stand."
        )
        with parts.tag("div", "beside"):
            shown = parts.stack()
            with parts.tag("div", "aside"):
                await Picture(view).begin(request)
        drawn: list[object] = []

        def draw() -> None:
            if drawn != [world.state()]:
                drawn[:] = [world.state()]
                shown.clear()
                with shown:
                    _controls(view)
                    _steps()

        draw()
        ui.timer(LOOK_SECONDS, draw)


def _controls(view: Desk) -> None:
    journal = world.journal
    with parts.row():
        if world.doing:
            parts.state("running now", "being removed" if world.doing == "removing" else "being built")
            return
        parts.button(_label(journal), lambda: _build(view))
        if journal is not None:
            parts.button("Remove the demo world", lambda: _remove(view), kind="danger")
    if journal is not None and _complete(journal):
        with parts.row():
            ui.link("The deployment", f"/deployments/{journal.name}")
            ui.link("The overview", "/")


def _label(journal: Journal | None) -> str:
    if journal is None:
        return "Build the demo world"
    return "Go through it again" if _complete(journal) else "Go on"


def _complete(journal: Journal) -> bool:
    """Whether every step has passed; a build whose process was killed left no problem behind."""
    return not journal.problem and len(journal.results) == len(STEPS)


def _steps() -> None:
    journal = world.journal
    if journal is None:
        return
    if journal.problem and len(journal.results) == len(STEPS):  # the removal's
        parts.problem(journal.problem)
    with parts.card("Steps"), parts.tag("ol", "list"):
        for number, step in enumerate(STEPS):
            with parts.tag("li"):
                with parts.row():
                    parts.state(_word(number, journal))
                    parts.tag("strong", text=step.title)
                parts.say(step.why, "muted")
                if number < len(journal.results):
                    parts.say(journal.results[number])
                elif number == len(journal.results) and journal.problem:
                    parts.problem(journal.problem)


def _word(number: int, journal: Journal) -> str:
    done = len(journal.results)
    if number < done:
        return "passed"
    if number > done:
        return "to do"
    return "failed" if journal.problem else "running now" if world.doing == "building" else "to do"


async def _build(view: Desk) -> None:
    if await _allowed(view):
        world.build(_own(view))


async def _remove(view: Desk) -> None:
    journal = world.journal
    if journal is None or not await _allowed(view):
        return
    text = (
        f"This deletes the deployment {journal.name} with its link, resource, rule and the messages that wait. In the "
        "customer's account it deletes the service, the balancer, the database with its rows, and the VPC. What you "
        "made stays: where it is in the demo's networks, the removal stops and says so."
    )
    with view.page:
        if await parts.confirmed("Remove the demo world", text, journal.name, "Remove"):
            world.remove(_own(view))


async def _allowed(view: Desk) -> bool:
    """Whether the person may make everything that the demo makes."""
    who = await view.act(lambda client: client.identity())
    if who is None:
        return False
    if who.role is not Role.ADMINISTRATOR or EVERY not in who.projects:
        with view.page:
            ui.notify(NOT_ALLOWED, type="warning")
        return False
    return True


def _own(view: Desk) -> Rest:
    """A client of the person's that the work may keep to its end."""
    return rest(view.person, view.address)
