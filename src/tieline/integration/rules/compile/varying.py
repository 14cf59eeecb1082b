"""What differs between the elements of a FOREACH: what names the element, and functions that differ at each call."""

from __future__ import annotations

from typing import Final

from tieline.integration.rules.compile.paths import Paths
from tieline.integration.rules.functions import LIBRARY, Function, system
from tieline.integration.rules.syntax import syntax

#: Functions that may differ at each call, besides those that keep or read something.
_RANDOM: Final = frozenset({"random", "format_date"})


def steady(known: Function) -> bool:
    """Whether a function gives the same each time for the same arguments, and does nothing else."""
    shown = all(example.result is not None for example in known.examples)
    return shown and known.group != system.GROUP and known.name not in _RANDOM


class Varying:
    """Looks at the columns and names that an emitter has now."""

    def __init__(self, of: Paths) -> None:
        self._of = of
        self._columns: dict[int, bool] = {}

    def expression(self, node: syntax.Expression) -> bool:
        """Whether an expression may differ between the elements."""
        if isinstance(node, syntax.Name):
            return self._path((node.name,))
        if isinstance(node, syntax.Get):
            return self._get(node)
        if isinstance(node, syntax.Call):
            known = LIBRARY.get(node.name)
            if known is not None and not steady(known):
                return True
        return any(map(self.expression, parts(node)))

    def _get(self, node: syntax.Get) -> bool:
        if any(self.expression(step.of) for step in node.steps if isinstance(step, syntax.Index)):
            return True
        if not isinstance(node.base, syntax.Name):
            return self.expression(node.base)
        keys = [node.base.name]
        for step in node.steps:
            if not isinstance(step, str):
                break
            keys.append(step)
        return self._path(tuple(keys))

    def _path(self, keys: tuple[str, ...]) -> bool:
        """Whether what a path names may differ, as `Paths.path` finds it."""
        of = self._of
        for number, alias in of.named(keys):
            if keys[: len(alias)] == alias:
                return self.column(number)
            if alias[: len(keys)] == keys and self.column(number):
                return True
        return keys[0] in of.items and keys[0] == of.item

    def column(self, number: int) -> bool:
        """Whether a column may differ between the elements."""
        if number not in self._columns:
            visible, self._of.visible = self._of.visible, number
            self._columns[number] = self.expression(self._of.aliases[number].of)
            self._of.visible = visible
        return self._columns[number]


def parts(node: syntax.Expression) -> tuple[syntax.Expression, ...]:
    """The expressions that an expression is made of."""
    match node:
        case syntax.Call():
            return node.arguments
        case syntax.Array():
            return node.items
        case syntax.Logic():
            return node.terms
        case syntax.Negative() | syntax.Not():
            return (node.of,)
        case syntax.Arithmetic() | syntax.Compare():
            return (node.left, node.right)
        case syntax.In():
            return (node.needle, *node.candidates)
        case syntax.Case():
            ends = [one for one in (node.subject, node.otherwise) if one is not None]
            return (*ends, *(part for branch in node.branches for part in branch))
    return ()
