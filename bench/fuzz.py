"""Hostile bytes for agents, platform and brokers for as long as is told: not a measurement, but a search for a fault.

Prints how many inputs were tried, and the first that failed; ends with status 1 if there was one.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

# In the place of this directory, whose fabric.py would be taken for the tests' package of that name.
sys.path[:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

from security import test_fuzz  # noqa: E402
from security.test_fuzz_broker import SURFACES, corpus  # noqa: E402

ROUND = 2000  # inputs from one seed


def main() -> int:
    """Try inputs until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    chosen = parser.parse_args()
    tried, end = 0, time.monotonic() + chosen.seconds
    while time.monotonic() < end:
        test_fuzz.SEED += 1
        for surface, (name, take) in SURFACES.items():
            for data in test_fuzz.changed(corpus(name), ROUND):
                tried += 1
                try:
                    take(data)
                except Exception as error:
                    print(f"{surface}: {type(error).__name__}: {error}\nseed {test_fuzz.SEED}: {data!r}")
                    return 1
    print(f"{tried} inputs, none of them a fault")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
