"""How a diagnosis is printed: one line a hop, the first that fails in words, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.table import Table
from rich.text import Text

from tieline.cli.output import out, print_json
from tieline.cloud.doctor.hops import Diagnosis, Verdict
from tieline.fabric.kernel.host import Part

MARKS = {Verdict.PASS: ("✓", "green"), Verdict.FAIL: ("✗", "bold red"), Verdict.UNKNOWN: ("?", "yellow")}
HINTS = {Verdict.PASS: "dim", Verdict.FAIL: "red", Verdict.UNKNOWN: "dim"}


def show_diagnosis(found: Diagnosis, as_json: bool) -> None:
    """Print every hop in order."""
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    for hop in found.hops:
        mark, style = MARKS[hop.verdict]
        out.print(Text.assemble((f"{mark} ", style), (f"{hop.hop:<10}", "bold"), hop.evidence))
        if hop.hint:
            out.print(Text(f"            {hop.hint}", HINTS[hop.verdict]))
    if found.failing:
        out.print(Text.assemble(("fails at ", "bold"), (found.failing, "bold red")))


def show_host(parts: Sequence[Part], as_json: bool) -> None:
    """Print which parts of the border around instances this machine gives, and how to get the others."""
    if as_json:
        print_json([msgspec.to_builtins(part) for part in parts])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("", "what holds instances in", "found", "how to get it"):
        table.add_column(column, overflow="fold")
    for part in parts:
        mark, style = MARKS[Verdict.PASS if part.given else Verdict.FAIL]
        table.add_row(Text(mark, style), part.part, part.found, part.get)
    out.print(table)
