"""EMQX's answers to 1,061 rules and messages against tieline's: by group, how many are the same.

Declared differences (docs/rules.md) are counted apart: they are no part of the goal. `--differences` prints each case
that differs, with both answers; `--json FILE` keeps the figures. Exits with 1 below the goal.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import emqx_cases as cases

GOAL = 0.99  # of the cases that are not declared


def measure() -> tuple[dict[str, Counter[str]], list[tuple[cases.Case, dict[str, Any]]]]:
    """The counts by group, and the cases that differ with what tieline gave."""
    groups: dict[str, Counter[str]] = {}
    differing = []
    for case in cases.load():
        found = cases.answer(case)
        same = cases.agrees(case, found)
        groups.setdefault(case.group, Counter())["declared" if case.declared else "same" if same else "differs"] += 1
        if not same and not case.declared:
            differing.append((case, found))
    return groups, differing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--differences", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["TZ"] = "UTC"  # what the answers were made with
    time.tzset()
    groups, differing = measure()
    print(f"{'group':<14}{'same':>6}{'differs':>9}{'declared':>10}")
    for group in sorted(groups):
        print(f"{group:<14}{groups[group]['same']:>6}{groups[group]['differs']:>9}{groups[group]['declared']:>10}")
    total = sum(groups.values(), Counter[str]())
    print(f"{'all':<14}{total['same']:>6}{total['differs']:>9}{total['declared']:>10}")
    share = total["same"] / (total["same"] + total["differs"])
    print(f"the same: {share:.2%} of those not declared; goal {GOAL:.0%}")
    if options.differences:
        for case, found in differing:
            print(f"\n{case.id}: {case.sql}\n  message  {json.dumps(case.message, ensure_ascii=False)}")
            print(f"  EMQX     {json.dumps(case.expected, ensure_ascii=False)}")
            print(f"  tieline  {json.dumps(found, ensure_ascii=False, default=str)}")
    if options.json:
        report = {"groups": groups, "share": share, "differing": [case.id for case, _ in differing]}
        options.json.write_text(json.dumps(report))
    return 0 if share >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
