"""Random worlds in real namespaces, scanned from every host of each: not a measurement, but a search for a leak.

Prints each world that does not hold; ends with status 1 if there was one. Needs root, as the fabric does.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

# In the place of this directory, whose fabric.py would be taken for the tests' package of that name.
sys.path[:1] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]

from tieline.fabric.kernel.driver import Kernel  # noqa: E402
from world.isolation.scan import build, scan  # noqa: E402
from world.isolation.sketches import Sketch, draw  # noqa: E402
from world.isolation.test_worlds import sketch  # noqa: E402


async def holds(world: Sketch) -> bool:
    """Whether a scan of the world finds exactly what its consents allow."""
    prefix, drawn = f"tlb-{secrets.token_hex(3)}", draw(world)
    with tempfile.TemporaryDirectory() as place:
        kernel = Kernel(prefix, Path(place) / "state")
        try:
            await build(kernel, drawn.topology)
            return await scan(prefix, drawn) == drawn.passes
        finally:
            await kernel.down()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--vpcs", type=int, default=20)
    parser.add_argument("--links", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1000)
    options = parser.parse_args()
    leaks = 0
    for seed in range(options.seed, options.seed + options.worlds):
        world = sketch(seed, 2 + seed % (options.vpcs - 1), seed % (options.links + 1))
        if not asyncio.run(holds(world)):
            leaks += 1
            print(f"seed {seed} does not hold: {world}")
    print(f"{options.worlds} worlds of up to {options.vpcs} VPCs and {options.links} links, {leaks} that do not hold")
    sys.exit(leaks > 0)


if __name__ == "__main__":
    main()
