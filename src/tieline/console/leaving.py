"""What a redraw takes from a page still hears for a moment: a click may be on its way to it, and would be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from nicegui import Client as Page
from nicegui import ui

SECONDS = 1.0  # longer than an event takes from a browser that was shown the old elements


def leave(elements: Iterable[ui.element]) -> None:
    """Take elements off their page now, and have them heard until `SECONDS` later. Called in the event loop."""
    leaving = list(elements)
    for element in leaving:
        slot = element.parent_slot
        assert slot is not None, "it is on a page"
        slot.children.remove(element)
        slot.parent.update()
    for page in {element.client for element in leaving}:
        own = [element for element in leaving if element.client is page]
        asyncio.get_running_loop().call_later(SECONDS, _forget, page, own)


def _forget(page: Page, elements: list[ui.element]) -> None:
    """A page that was closed meanwhile has forgotten them itself."""
    if not page.is_deleted:
        page.remove_elements([one for element in elements for one in element.descendants(include_self=True)])
