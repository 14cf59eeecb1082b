"""Source of the map that a rule gives: one literal where each column has its place, else step after step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tieline.integration.rules.compile.emit import Emitter
from tieline.integration.rules.compile.paths import output_path
from tieline.integration.rules.syntax import syntax

Columns = Sequence[syntax.Column | syntax.Everything]
Tree = dict[str, Any]  # keys with source, or with a tree


def output(emitter: Emitter, columns: Columns) -> str:
    """Source of the output map."""
    selected: list[tuple[syntax.Path, str]] = []
    for column in columns:
        if isinstance(column, syntax.Column):
            emitter.visible = len(selected)
            selected.append((output_path(column, len(selected)), emitter.alias(len(selected))))
    tree: Tree = {}
    if len(selected) == len(columns) and all(_planted(tree, path, source) for path, source in selected):
        return _literal(tree)
    return _in_turn(emitter, columns, selected)


def _planted(tree: Tree, path: syntax.Path, source: str) -> bool:
    """Put source at a path of keys; whether that changes nothing that stands there."""
    for key in path[:-1]:
        if not isinstance(key, str) or not isinstance(inner := tree.setdefault(key, {}), dict):
            return False
        tree = inner
    last = path[-1]
    if not isinstance(last, str) or isinstance(tree.get(last), dict):
        return False
    tree[last] = source
    return True


def _literal(tree: Tree) -> str:
    entries = (f"{key!r}: {_literal(value) if isinstance(value, dict) else value}" for key, value in tree.items())
    return "{" + ", ".join(entries) + "}"


def _in_turn(emitter: Emitter, columns: Columns, selected: list[tuple[syntax.Path, str]]) -> str:
    """The map after each column in its turn; what comes before the first path of more than one part is one literal."""
    parts: list[str] = []
    turns: list[tuple[str, str]] = []  # source before and behind the map
    waiting = iter(selected)
    for column in columns:
        if isinstance(column, syntax.Everything):
            entry = f"**{emitter.everything()}"
        else:
            path, source = next(waiting)
            entry = f"{path[0]!r}: {source}" if len(path) == 1 else ""
        if not entry:
            turns.append(("put(", f", {emitter.constant(path)}, {source})"))
        elif turns:
            turns.append(("{**", f", {entry}}}"))
        else:
            parts.append(entry)
    made = "{" + ", ".join(parts) + "}"
    for before, behind in turns:
        made = emitter.assign(before + made + behind)
    return made
