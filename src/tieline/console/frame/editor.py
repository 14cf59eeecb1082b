"""Text with highlighting: its label for whoever does not see it, its theme, and errors marked where they are."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from nicegui import ui

from tieline.client.rest import ClientError

# What is typed into is an element inside of the editor's, made a moment later, and it is this one that has the name.
NAMED = """(function name(rounds) {
  const editors = [...document.querySelectorAll('.nicegui-codemirror')];
  for (const editor of editors)
    editor.querySelector('.cm-content')?.setAttribute('aria-label', editor.getAttribute('aria-label'));
  if (rounds && editors.some(editor => !editor.querySelector('.cm-content'))) setTimeout(name, 50, rounds - 1);
})(200)"""
ANSWER_SECONDS = 30.0  # a browser on a busy machine answers late
DARK = "document.body.classList.contains('body--dark')"


def editor(text: str, language: Any, label: str, on_change: Any = None) -> ui.codemirror:
    """An editor; `dress` it when it is in the page."""
    made = ui.codemirror(text, language=language, line_wrapping=True, on_change=on_change, theme="vscodeLight")
    return made.props(f'aria-label="{label}"')


async def dress(editors: Iterable[ui.codemirror]) -> None:
    """Give the editors of the page their names and their theme; a browser that does not answer keeps the light one."""
    ui.run_javascript(NAMED)
    with suppress(TimeoutError):
        dark = await ui.run_javascript(DARK, timeout=ANSWER_SECONDS)
        wanted: Any = "vscodeDark" if dark else "vscodeLight"
        for one in editors:
            if one.theme != wanted:  # the whole editor is sent with it, and what was typed meanwhile would be gone
                one.set_theme(wanted)


def mark(where: ui.codemirror, error: ClientError | None) -> None:
    """Underline the place that an error names; without an error nothing is underlined.

    The marks alone are sent: with the property goes the text as it is known here, without what is being typed.
    """
    found = place(where.value, error) if error is not None else None
    marks = [{"kind": "mark", "from": found[0], "to": found[1], "class": "wrong"}] if found else []
    where.run_method("setDecorations", marks)


def place(text: str, error: ClientError) -> tuple[int, int] | None:
    """The range that an error is about: the word at its line and column, or what stands last. Pure."""
    line, column = error.extra.get("line"), error.extra.get("column")
    lines = text.splitlines(keepends=True)
    if not isinstance(line, int) or not isinstance(column, int) or not 0 < line <= len(lines) or not text.strip():
        return None
    start = min(sum(map(len, lines[: line - 1])) + column - 1, len(text.rstrip()) - 1)
    end = start + 1
    while (
        end < len(text) and (text[end].isalnum() or text[end] == "_") and (text[start].isalnum() or text[start] == "_")
    ):
        end += 1
    return start, end
