"""The same worlds in real namespaces: a scan from every host finds exactly what both sides agreed to."""

from __future__ import annotations

import random
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tieline.fabric.kernel.driver import Kernel
from tieline.fabric.kernel.system.names import HOST_LINK, WIRE_LINK
from world.isolation.scan import build, scan
from world.isolation.sketches import CONSENTS, Sketch, draw

pytestmark = pytest.mark.world


def sketch(seed: int, vpcs: int = 5, links: int = 15) -> Sketch:
    """A world of this size; the same for the same seed."""
    chance = random.Random(seed)
    ends = [(chance.randrange(vpcs), chance.randrange(vpcs)) for _ in range(links)]
    return Sketch(vpcs, tuple((*pair, chance.choice((*CONSENTS, "accepted", "accepted"))) for pair in ends))


@pytest.fixture
async def kernel(prefix: str, tmp_path: Path) -> AsyncIterator[Kernel]:
    made = Kernel(prefix, tmp_path / "state")
    try:
        yield made
    finally:
        await made.down()


@pytest.mark.parametrize("seed", range(3))
async def test_a_scan_finds_what_was_agreed_and_nothing_else(kernel: Kernel, prefix: str, seed: int) -> None:
    drawn = draw(sketch(seed))
    await build(kernel, drawn.topology)
    assert await scan(prefix, drawn) == drawn.passes
    assert own_links() == []


def own_links() -> list[str]:
    """What of any fabric is in the machine's own network, where nothing may be."""
    done = subprocess.run(["ip", "-o", "link", "show"], capture_output=True, text=True, check=True)
    names = [line.split(": ")[1] for line in done.stdout.splitlines()]
    return [name for name in names if name.startswith((HOST_LINK, WIRE_LINK))]
