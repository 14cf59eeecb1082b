"""A list on a page that is brought up to date row by row: of a hundred rows with one change, one is drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from itertools import chain
from typing import Generic, TypeVar

from nicegui import ui

from tieline.console.session.leaving import leave

T = TypeVar("T", bound=Hashable)


class Rows(Generic[T]):
    """The rows of `place`, which holds nothing else. `render` draws an item, and answers its one element."""

    def __init__(self, place: ui.element, render: Callable[[T], ui.element]) -> None:
        self._place, self._render = place, render
        self._drawn: list[tuple[T, ui.element]] = []

    def show(self, items: Sequence[T]) -> None:
        """Draw what is new, take away what is gone; a row whose item is as it was stays, wherever it is now."""
        left = defaultdict[T, list[ui.element]](list)
        for item, row in reversed(self._drawn):
            left[item].append(row)
        self._drawn = [(item, left[item].pop() if left[item] else self._draw(item)) for item in items]
        leave(self._place, chain.from_iterable(left.values()))
        rows, children = [row for _, row in self._drawn], self._place.default_slot.children
        if children != rows:
            children[:] = rows
            self._place.update()

    def _draw(self, item: T) -> ui.element:
        with self._place:
            return self._render(item)
