"""The frame of every page: navigation, theme, live sections, and actions with their errors shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from nicegui import Client as Page
from nicegui import ui
from starlette.requests import Request

from tieline.client.rest import ClientError
from tieline.console.frame import parts
from tieline.console.frame.editor import ANSWER_SECONDS, DARK
from tieline.console.frame.rows import Rows
from tieline.console.live.feed import Feed, feed
from tieline.console.live.snapshot import Reader, Snapshot
from tieline.console.session import context
from tieline.console.session.credentials import Person
from tieline.console.session.gate import PREFIX
from tieline.console.session.leaving import leave
from tieline.console.session.rest import Rest, rest

S = TypeVar("S")
T = TypeVar("T")
H = TypeVar("H", bound=Hashable)
SECONDS = 0.1  # between two looks at the platform's state
NAVIGATION = (
    ("Overview", "/"),
    ("Deployments", "/deployments"),
    ("Provider", "/provider"),
    ("Access", "/access"),
    ("Settings", "/settings"),
)
MISSING = object()


class View(Generic[S]):
    """One open page: its feed, and the sections of it that follow the feed."""

    def __init__(self, source: Feed[S], now: S) -> None:
        self.source, self.now = source, now
        self.page: Page = ui.context.client
        self._sections: list[tuple[ui.element, Callable[[S], None]]] = []  # and what each is a part of
        source.join(id(self), self._push)
        self.page.on_delete(lambda: source.leave(id(self)))

    def live(self, select: Callable[[S], T], render: Callable[[T], object], classes: str = "stack") -> None:
        """A section that is drawn anew whenever what it shows has changed."""
        place = parts.tag("div", classes)
        shown: Any = MISSING

        def show(state: S) -> None:
            nonlocal shown
            value = select(state)
            if value is shown or (shown is not MISSING and value == shown):
                return
            shown = value
            leave(place, place)
            with place:
                render(value)

        show(self.now)
        self.follow(show)

    def each(self, select: Callable[[S], Sequence[H]], render: Callable[[H], ui.element], place: ui.element) -> None:
        """A list in `place` of which only the rows that changed are drawn anew; `render` answers a row's element."""
        rows = Rows(place, render)
        shown: Sequence[H] | None = None

        def show(state: S) -> None:
            nonlocal shown
            value = select(state)
            if value is not shown and value != shown:
                shown = value
                rows.show(value)

        show(self.now)
        self.follow(show)

    def follow(self, hear: Callable[[S], None]) -> None:
        """Call a function with every new state, as long as the part of the page is there in which this is called."""
        self._sections.append((ui.context.slot.parent, hear))

    def shown(self, place: ui.element, when: Callable[[S], object]) -> None:
        """Show a part of the page while something holds; what is typed in it stays meanwhile."""

        def show(state: S) -> None:
            place.set_visibility(bool(when(state)))

        show(self.now)
        self.follow(show)

    def soon(self, work: Callable[[], Awaitable[object]]) -> None:
        """Begin something when the page is connected; no redraw of a part of the page ends it."""
        with self.page:
            ui.timer(0.05, work, once=True)

    def choose(self, chosen: ui.select, select: Callable[[S], Mapping[str, str]]) -> None:
        """Keep what can be chosen as it is now; what is chosen, and whatever is typed around it, stays."""
        self.follow(lambda state: parts.offer(chosen, dict(select(state))))

    def _push(self, state: S) -> None:
        self.now = state
        self._sections = [(place, show) for place, show in self._sections if not place.is_deleted]
        with self.page:
            for _, show in self._sections:
                show(state)


class Desk(View[Snapshot]):
    """A page of somebody who works with deployments."""

    def __init__(self, person: Person, source: Feed[Snapshot], now: Snapshot, address: str) -> None:
        super().__init__(source, now)
        self.person, self.address = person, address
        self._warning: ui.notification | None = None
        self.follow(self._notice)
        self._warn(now.problem)

    def _notice(self, state: Snapshot) -> None:
        if state.signed_out:
            ui.navigate.to("/sign-in")
        else:
            self._warn(state.problem)

    def _warn(self, problem: str) -> None:
        """Say on top of the page, for as long as it is so, that it shows what was read last."""
        if self._warning is not None and self._warning.message != problem:
            self._warning.dismiss()
            self._warning = None
        if problem and self._warning is None:
            self._warning = ui.notification(problem, type="warning", position="top", multi_line=True, timeout=None)

    async def beside(self, key: str, read: Callable[[Rest], S], seconds: float) -> View[S]:
        """Something else that the page shows and that changes, read at its own pace; `read` may raise nothing."""
        client = rest(self.person)
        source = feed((key, self.person), lambda: read(client), seconds)
        return View(source, await source.first())

    async def ask(self, call: Callable[[Rest], T]) -> T:
        """Work with REST on the person's behalf; raises ClientError."""
        try:
            return await asyncio.to_thread(self._call, call)
        finally:
            self.source.hurry()

    async def do(self, call: Callable[[Rest], object], told: Callable[[ClientError], object] | None = None) -> bool:
        """The same for what answers nothing: whether it succeeded."""
        return await self.act(lambda client: (call(client),), told) is not None

    async def act(self, call: Callable[[Rest], T], told: Callable[[ClientError], object] | None = None) -> T | None:
        """The same, with the error shown: by `told`, or as a notice. None where it failed."""
        try:
            return await self.ask(call)
        except ClientError as error:
            with self.page:  # the section that the click came from may be gone
                (told or notice)(error)
            return None

    async def remove(self, kind: str, name: str, text: str, delete: Callable[[Rest], object], then: str = "") -> None:
        """Delete after the name was typed, and go on at another page."""
        with self.page:
            if not await parts.confirmed(f"Delete {kind} {name}", text, name):
                return
            if await self.do(delete) and then:
                ui.navigate.to(then)

    def _call(self, call: Callable[[Rest], T]) -> T:
        with rest(self.person, self.address) as client:
            return call(client)


async def desk(request: Request) -> Desk:
    """The live view of whoever asks for a page."""
    person: Person = request.state.credential
    client = rest(person)
    source = feed(("platform", person), Reader(client), SECONDS, context.current.pulse)
    address = request.client.host if request.client else ""
    return Desk(person, source, await source.first(), address)


def notice(error: ClientError) -> None:
    """An error where the page has no better place for it."""
    ui.notify(words(error), type="negative", position="top", multi_line=True, timeout=0, close_button="Close")


def words(error: ClientError) -> str:
    """An error's message and what to do."""
    return f"{error.message}\n{error.hint}" if error.hint else error.message


@contextmanager
def frame(title: str, path: str = "/") -> Iterator[None]:
    """The page around its content; `path` is the place in the navigation."""
    ui.page_title(f"{title} · tieline")
    theme = ui.dark_mode(value=None)
    ui.link("To the content", "#content").classes("skip")
    with parts.tag("header", "bar"):
        ui.link("tieline", "/").classes("brand")
        with parts.tag("nav").props('aria-label="Main"'):
            for name, target in NAVIGATION:
                link = ui.link(name, target)
                if target == path:
                    link.props("aria-current=page")
        parts.tag("button", "plain", "Light or dark").props("type=button").on("click", lambda: _turn(theme))
        with ui.element("form").props(f"method=post action={PREFIX}/sign-out"):
            parts.tag("button", "plain", "Sign out").props("type=submit")
    with parts.tag("fieldset", "page").props("id=content disabled") as content:  # READY enables it
        try:
            yield
        finally:  # a page that makes a timer and then waits is sent as far as it is
            content.props("data-built")


async def _turn(theme: ui.dark_mode) -> None:
    theme.set_value(not await ui.run_javascript(DARK, timeout=ANSWER_SECONDS))


def trail(*steps: tuple[str, str]) -> None:
    """Where a page is: the way back up."""
    with parts.tag("nav", "row muted").props('aria-label="Path"'):
        for name, path in steps:
            ui.link(name, path)
            parts.tag("span", text="/")
