"""A chart of small multiples as SVG text: for each figure, one bar for each candidate."""

from __future__ import annotations

from collections.abc import Mapping

WIDTH, LABEL, BAR, GAP, TITLE, MARGIN = 340, 100, 16, 4, 26, 12
ACCENT, PLAIN = "#0b6e99", "#9aa5ad"
COLUMNS = 2


def bars(figures: Mapping[str, Mapping[str, float]], accent: str = "link") -> str:
    """One panel for each figure, its longest bar as wide as the panel; `accent` names the candidate that stands out."""
    height = TITLE + max(len(values) for values in figures.values()) * (BAR + GAP) + MARGIN
    rows = -(-len(figures) // COLUMNS)
    size = f'width="{COLUMNS * WIDTH}" height="{rows * height + MARGIN}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">']
    parts.append('<rect width="100%" height="100%" fill="#ffffff"/>')
    for number, (title, values) in enumerate(figures.items()):
        left, top = number % COLUMNS * WIDTH + MARGIN, number // COLUMNS * height + MARGIN
        parts += _panel(left, top, title, values, accent)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(left: int, top: int, title: str, values: Mapping[str, float], accent: str) -> list[str]:
    room, largest = WIDTH - LABEL - 2 * MARGIN - 60, max(values.values()) or 1.0
    parts = [f'<text x="{left}" y="{top + 12}" font-weight="bold">{title}</text>']
    for number, (name, value) in enumerate(values.items()):
        y, length = top + TITLE + number * (BAR + GAP), max(1.0, room * value / largest)
        colour = ACCENT if name == accent else PLAIN
        parts.append(f'<text x="{left}" y="{y + 12}">{name}</text>')
        parts.append(f'<rect x="{left + LABEL}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>')
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
        parts.append(f'<text x="{left + LABEL + length + 4:.1f}" y="{y + 12}">{shown}</text>')
    return parts
