"""One scene for all traps of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from world.running import Tieline
from world.traps.scene import Scene


@pytest.fixture(scope="module")
def scene(tieline: Tieline) -> Iterator[Scene]:
    made = Scene(tieline)
    yield made
    made.client.close()
    made.provider.close()
    made.customer.ec2.close()
    made.customer.elb.close()
