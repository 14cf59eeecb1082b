"""Samples in Prometheus' text format, each metric told once with its meaning and type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: What only grows while an agent runs; the rest may fall. Names with a dot are parts of the one before it.
COUNTERS = frozenset({"matched", "passed", "failed", "received", "success", "retried", "dropped"})


class Metrics:
    """Collects samples; a metric's first meaning is the one that is told."""

    def __init__(self) -> None:
        self._meanings: dict[str, tuple[str, str]] = {}
        self._samples: dict[str, list[str]] = {}

    def add(self, name: str, meaning: str, labels: Mapping[str, str], value: float, type: str = "gauge") -> None:
        """One sample."""
        self._meanings.setdefault(name, (meaning, type))
        shown = ",".join(f"{label}={json.dumps(text, ensure_ascii=False)}" for label, text in labels.items())
        self._samples.setdefault(name, []).append(f"{name}{{{shown}}} {value}")

    def add_counts(self, prefix: str, labels: Mapping[str, str], counts: Mapping[str, float | str]) -> None:
        """The numbers among these; their names come from an agent, and may hold anything."""
        for name, value in counts.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                type = "counter" if name.partition(".")[0] in COUNTERS and ".rate" not in name else "gauge"
                metric = f"{prefix}_{re.sub('[^a-zA-Z0-9_]', '_', name)}"
                self.add(metric, f"{name} as the integration counts it", labels, value, type)

    def text(self) -> str:
        """The page."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        for name, (meaning, type) in self._meanings.items():
            printable = meaning.replace("\\", "\\\\").replace("\n", "\\n")
            yield f"# HELP {name} {printable}"
            yield f"# TYPE {name} {type}"
            yield from self._samples[name]
