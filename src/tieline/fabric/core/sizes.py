"""What an instance type's name means here: the processors and the memory that an instance may use at most.

Pure. The figures are AWS's for its general families (https://aws.amazon.com/ec2/instance-types/, read in 2025): the
letter gives the memory for each processor, the size how many of them. Burstable types may use theirs all the time.
"""

from __future__ import annotations

import re

import msgspec

NAME = re.compile(r"(?P<family>[tcmr])[0-9]{1,2}[a-z]{0,4}(?:-flex)?\.(?P<size>[a-z]+|[0-9]{1,2}xlarge)", re.ASCII)
GIBIBYTES = {"c": 2, "m": 4, "r": 8}  # for each processor
PROCESSORS = {"medium": 1, "large": 2, "xlarge": 4}  # Nxlarge: four times N
BURSTABLE = {  # processors, MiB
    "nano": (2, 512),
    "micro": (2, 1024),
    "small": (2, 2048),
    "medium": (2, 4096),
    "large": (2, 8192),
    "xlarge": (4, 16384),
    "2xlarge": (8, 32768),
}
LARGEST = 48  # of Nxlarge (AWS's m7i.48xlarge)
KNOWN = "t3.nano to t3.2xlarge, and medium, large, xlarge to 48xlarge of c, m and r in any generation, such as m5.large"


class Size(msgspec.Struct, frozen=True):
    """`processors`: how many may be busy at a time; `memory`: MiB."""

    processors: int
    memory: int


def of(type: str) -> Size | None:
    """The size of an instance type; None where no such type is known."""
    found = NAME.fullmatch(type)
    if found is None:
        return None
    family, size = found["family"], found["size"]
    if family == "t":
        return Size(*BURSTABLE[size]) if size in BURSTABLE else None
    many = size.removesuffix("xlarge")
    count = PROCESSORS.get(size) or (4 * int(many) if many.isdigit() and 2 <= int(many) <= LARGEST else 0)
    return Size(count, count * GIBIBYTES[family] << 10) if count else None
