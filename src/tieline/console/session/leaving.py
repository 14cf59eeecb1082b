"""What a redraw takes from a page still hears for a moment: a click may be on its way to it, and would be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from nicegui import Client as Page
from nicegui import ui

SECONDS = 1.0  # longer than an event takes from a browser that was shown the old elements


def leave(place: ui.element, elements: Iterable[ui.element]) -> None:
    """Take elements out of their place now, and have them heard until `SECONDS` later. Called in the event loop."""
    leaving = list(elements)
    if not leaving:
        return
    gone, children = {element.id for element in leaving}, place.default_slot.children
    children[:] = [child for child in children if child.id not in gone]
    place.update()
    asyncio.get_running_loop().call_later(SECONDS, _forget, place.client, leaving)


def _forget(page: Page, elements: list[ui.element]) -> None:
    """A page that was closed meanwhile has forgotten them itself."""
    if not page.is_deleted:
        page.remove_elements([one for element in elements for one in element.descendants(include_self=True)])
