"""The console's own small parts: a state, a copied value, facts, an empty place, a question before what is final."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from tieline.cloud.model.records import HistoryEntry

KINDS = {
    **dict.fromkeys(("running", "connected", "healthy", "available", "active", "Available", "passed"), "ok"),
    **dict.fromkeys(("creating", "waiting_acceptance", "connecting", "waiting", "initial"), "wait"),
    **dict.fromkeys(("pending", "pendingAcceptance", "Pending", "provisioning", "draining", "deleting"), "wait"),
    **dict.fromkeys(("failed", "disconnected", "unhealthy", "rejected", "expired", "Failed"), "bad"),
}
# A shape of its own for each kind, so that nobody depends on colour: circle, diamond, triangle, ring.
SHAPES = {
    "ok": '<circle cx="6" cy="6" r="5" stroke="none"/>',
    "wait": '<path d="M6 0l6 6-6 6-6-6z" stroke="none"/>',
    "bad": '<path d="M6 0l6 11.5H0z" stroke="none"/>',
    "idle": '<circle cx="6" cy="6" r="4.5" fill="none" stroke-width="2"/>',
}


def kind_of(state: str) -> str:
    """ok, wait, bad or idle."""
    return KINDS.get(state, "idle")


def tag(name: str, classes: str = "", text: str = "") -> ui.element:
    """A plain HTML element; its text is escaped."""
    made = TextElement(tag=name, text=text) if text else ui.element(name)
    return made.classes(classes)


def heading(text: str, level: int = 2) -> None:
    """A heading of the page's outline."""
    tag(f"h{level}", text=text)


def say(text: str, classes: str = "") -> None:
    """A paragraph."""
    tag("p", classes, text)


def problem(text: str) -> None:
    """What went wrong, told to screen readers at once."""
    tag("p", "problem", text).props("role=alert")


def state(word: str, shown: str = "") -> None:
    """A state by colour, word and shape."""
    kind = kind_of(word)
    with tag("span", f"state {kind}"):
        ui.html(f'<svg viewBox="0 0 12 12" aria-hidden="true">{SHAPES[kind]}</svg>', sanitize=False, tag="span")
        tag("span", text=shown or word.replace("_", " "))


def stack(classes: str = "") -> ui.element:
    """Things below each other."""
    return tag("div", f"stack {classes}")


def row(classes: str = "") -> ui.element:
    """Things beside each other, wrapping."""
    return tag("div", f"row {classes}")


def card(title: str = "") -> ui.element:
    """A framed part of the page."""
    made = tag("section", "card")
    if title:
        with made:
            heading(title)
    return made


def copied(value: str, name: str, block: bool = False) -> None:
    """A value with a button that copies it; `name` is what the button's label says."""
    with tag("div", "copy"):
        tag("pre" if block else "span", "" if block else "value", value)
        button("Copy", lambda: _copy(value), kind="other").props(f'aria-label="Copy {name}"')


def _copy(value: str) -> None:
    ui.clipboard.write(value)
    ui.notify("Copied", position="bottom", timeout=1200)


Fact = tuple[str, str | Callable[[], object]]


def facts(pairs: Iterable[Fact]) -> None:
    """Names and values; a value may be a function that draws it."""
    with tag("dl", "facts"):
        for name, value in pairs:
            tag("dt", text=name)
            if isinstance(value, str):
                tag("dd", text=value or "—")
                continue
            with tag("dd"):
                value()


def tabs(items: Iterable[tuple[str, str]], here: str, label: str) -> None:
    """Parts of a page, each at an address of its own; `here` is the present one."""
    with tag("nav", "tabs").props(f'aria-label="{label}"'):
        for name, path in items:
            link = ui.link(name, path)
            if path == here:
                link.props("aria-current=page")


Click = Callable[[], Awaitable[object] | object]


def button(text: str, click: Click, kind: str = "main") -> ui.button:
    """A button: main, other or danger."""
    made: ui.button = ui.button(text, on_click=click, color=None).props("unelevated no-caps")
    return made.classes(f"{kind}-button")


def go(text: str, path: str) -> None:
    """The way to the next thing, as a link that looks like a button."""
    ui.link(text, path).classes("link-button")


def field(label: str, value: str = "", **more: Any) -> ui.input:
    """A labelled text field."""
    made: ui.input = ui.input(label, value=value, **more).props("outlined dense stack-label autocomplete=off")
    return made


def number(label: str, value: float | None = None) -> ui.number:
    """A labelled number."""
    made: ui.number = ui.number(label, value=value).props("outlined dense stack-label")
    return made


def secret(label: str) -> ui.input:
    """A labelled field whose text is not shown, and that no browser fills."""
    return field(label).props("type=password autocomplete=new-password")


def words(label: str, value: str = "") -> ui.textarea:
    """A labelled text of several lines."""
    made: ui.textarea = ui.textarea(label, value=value).props("outlined dense stack-label autogrow")
    return made


def choice(label: str, options: Any, value: Any = None, many: bool = False, on_change: Any = None) -> ui.select:
    """One or several of a few."""
    made: ui.select = ui.select(options, label=label, value=value, multiple=many, on_change=on_change)
    return made.props("outlined dense stack-label options-dense")


def offer(chosen: ui.select, options: dict[str, str]) -> None:
    """Let these be chosen. What is chosen stays where it still can be; of several, what is new is chosen as well."""
    before, value = chosen.options, chosen.value
    if options == before:
        return
    kept: Any
    if chosen.multiple:
        kept = [one for one in options if one in value or one not in before]
    else:
        kept = value if value in options else next(iter(options), None)
    chosen.set_options(options, value=kept)


def empty(text: str, label: str = "", path: str = "") -> None:
    """A place with nothing in it says what to do first."""
    with stack():
        say(text, "muted")
        if path:
            with row():
                go(label, path)


def listing(items: Iterable[str]) -> None:
    """A plain list."""
    with tag("ul", "list"):
        for item in items:
            tag("li", text=item)


def when(at: str) -> str:
    """A moment to the second, UTC."""
    return f"{at[:19].replace('T', ' ')} UTC"


def told(entry: HistoryEntry) -> str:
    """One thing that happened, with who and when."""
    return f"{when(entry.at)}  {entry.who}: {entry.event}"


def table(columns: Sequence[str], label: str, classes: str = "stacked") -> AbstractContextManager[Any]:
    """A table's head; its rows are drawn inside. Where it is narrow, a stacked one has its cells below each other."""
    with tag("div", "scroll").props(f'role=region tabindex=0 aria-label="{label}"'), tag("table", classes):
        with tag("thead"), tag("tr"):
            for column in columns:
                tag("th", text=column).props("scope=col")
        return tag("tbody")


async def confirmed(title: str, text: str, name: str, verb: str = "Delete") -> bool:
    """Ask before what cannot be undone: the name must be typed."""
    with ui.context.client, ui.dialog() as dialog, tag("div", "dialog card"):
        heading(title)
        say(text)
        typed = field(f"Type {name} to confirm")
        with row():
            act = button(verb, lambda: dialog.submit(True), kind="danger")
            button("Keep it", lambda: dialog.submit(False), kind="other")
        act.disable()
        typed.on_value_change(lambda event: act.set_enabled(event.value == name))
    answer = await dialog
    dialog.delete()
    return bool(answer)
