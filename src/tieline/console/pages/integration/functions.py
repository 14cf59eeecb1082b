"""The functions that rules may use, found by a word, each with what it gives and an example."""

from __future__ import annotations

from nicegui import ui

from tieline.console.frame import parts
from tieline.integration.rules.functions import LIBRARY, Function

SHOWN = 8


def functions() -> None:
    """A field to search in, and what was found."""
    with parts.tag("details"):
        parts.tag("summary", text=f"Functions: {len(LIBRARY)}, with examples")
        with parts.stack("wide"):
            wanted = parts.field("Find a function").props('placeholder="json, date, split …"')
            place = parts.stack().props("aria-live=polite")
            wanted.on_value_change(lambda event: _draw(place, event.value))
    _draw(place, "")


def _draw(place: ui.element, text: str | None) -> None:
    found = search(text or "")
    place.clear()
    with place:
        with parts.tag("dl", "functions"):
            for one in found[:SHOWN]:
                parts.tag("dt", "mono", f"{one.name}: {one.arguments}")
                with parts.tag("dd"):
                    parts.say(" ".join(one.doc.split()))
                    for example in one.examples[:2]:
                        given = f" = {example.result}" if example.result is not None else ""
                        parts.say(f"{example.call}{given}", "mono")
        if len(found) > SHOWN:
            parts.say(f"and {len(found) - SHOWN} more: name one", "muted")
        elif not found:
            parts.say("No function has this word in its name, group or meaning.", "muted")


def search(text: str) -> list[Function]:
    """The functions that fit every word: those named so first. Pure."""
    words = text.lower().split()
    every = sorted(LIBRARY.values(), key=lambda one: (not any(word in one.name for word in words), one.name))
    return [one for one in every if all(word in f"{one.name} {one.group} {one.doc}".lower() for word in words)]
