"""The sizes of instance types are AWS's."""

from __future__ import annotations

import pytest

from tieline.fabric.core import sizes
from tieline.fabric.core.sizes import Size


@pytest.mark.parametrize(
    ("type", "processors", "gibibytes"),
    [
        ("t3.nano", 2, 0.5),
        ("t3.micro", 2, 1),
        ("t4g.2xlarge", 8, 32),
        ("m5.large", 2, 8),
        ("m7i-flex.xlarge", 4, 16),
        ("c6gn.medium", 1, 2),
        ("c5.9xlarge", 36, 72),
        ("r5.24xlarge", 96, 768),
        ("m7i.48xlarge", 192, 768),
    ],
)
def test_a_known_type(type: str, processors: int, gibibytes: float) -> None:
    assert sizes.of(type) == Size(processors, int(gibibytes * 1024))


@pytest.mark.parametrize(
    "type",
    [
        *("", "t3", "t3.", "t3.huge", "t3.4xlarge", "m5.nano", "m5.1xlarge", "m5.0xlarge", "m5.96xlarge", "x.large"),
        *("m5.large\n", " m5.large", "M5.large", "m\uff15.large", "p5.48xlarge", "m5.xlargexlarge", "../m5.large"),
    ],
)
def test_no_type(type: str) -> None:
    assert sizes.of(type) is None
