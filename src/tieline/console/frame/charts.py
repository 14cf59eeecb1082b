"""Charts over time, drawn by ECharts in the page's own colours, each with its meaning in words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from nicegui import ui

from tieline.console.frame import parts

Series = tuple[str, Sequence[tuple[float, float]]]  # name, and points: Unix seconds, value
SHAPES = ("circle", "diamond", "triangle", "rect")  # beside colour
COLOURS = ("var(--accent)", "var(--wait)", "var(--bad)", "var(--idle)")
DASHES = ("solid", "dashed", "dotted", "solid")
BYTES = "value => value >= 1e6 ? value / 1e6 + ' MB' : value >= 1e3 ? value / 1e3 + ' kB' : value + ' B'"
PLAIN = "value => value.toLocaleString('en')"


class Chart:
    """Lines over time; SVG, so that the theme's colours hold when the theme changes."""

    def __init__(self, label: str, unit: str = PLAIN) -> None:
        self._unit = unit
        self._chart = ui.echart(options((), unit), renderer="svg").classes("chart")
        self._chart.props(f'role=img aria-label="{label}"')
        self._drawn: Sequence[Series] = ()

    def show(self, series: Sequence[Series]) -> None:
        """Draw these."""
        if series == self._drawn:
            return
        self._drawn = series
        self._chart.options.clear()
        self._chart.options.update(options(series, self._unit))
        self._chart.update()


def options(series: Sequence[Series], unit: str) -> dict[str, Any]:
    """What ECharts draws. Pure."""
    ink = {"color": "var(--soft)", "fontSize": 12, "fontFamily": "sans-serif"}
    return {
        "animation": False,
        "useUTC": True,
        "color": list(COLOURS),
        "grid": {"left": 8, "right": 40, "top": 36, "bottom": 8, "containLabel": True},
        "legend": {"left": 0, "top": 0, "itemGap": 24, "textStyle": ink | {"color": "var(--ink)"}},
        "tooltip": {"trigger": "axis", ":valueFormatter": unit},
        "xAxis": {
            "type": "time",
            "axisLabel": ink | {"hideOverlap": True, "formatter": "{HH}:{mm}:{ss}"},
            "axisLine": {"lineStyle": {"color": "var(--line)"}},
            "splitNumber": 4,
        },
        "yAxis": {
            "type": "value",
            "min": 0,
            "axisLabel": ink | {":formatter": unit},
            "splitLine": {"lineStyle": {"color": "var(--line)"}},
            "splitNumber": 3,
        },
        "series": [
            {
                "name": name,
                "type": "line",
                "symbol": SHAPES[n % len(SHAPES)],
                "symbolSize": 5,
                "showSymbol": len(points) < 40,
                "lineStyle": {"type": DASHES[n % len(DASHES)], "width": 2},
                "data": [[round(time * 1000), value] for time, value in points],
            }
            for n, (name, points) in enumerate(series)
        ],
    }


def rates(samples: Sequence[tuple[float, ...]], column: int) -> list[tuple[float, float]]:
    """Per second between samples of a counter; one that began anew counts from zero. Pure."""
    found = []
    for before, after in pairwise(samples):
        seconds, grown = after[0] - before[0], after[column] - before[column]
        if seconds > 0:
            found.append((after[0], (grown if grown >= 0 else after[column]) / seconds))
    return found


def size(count: float) -> str:
    """Bytes as a person reads them. Pure."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:.3g} {unit}"
    return f"{count:.0f} B"


def numbers(pairs: Sequence[tuple[str, str]]) -> None:
    """What the chart says now, in words."""
    with parts.row("numbers"):
        for name, value in pairs:
            with parts.tag("span"):
                parts.tag("b", text=value)
                parts.tag("span", "muted", f" {name}")
