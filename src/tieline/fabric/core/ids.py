"""Identifiers in AWS's forms, from a source of randomness that the caller gives."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence
from dataclasses import dataclass

ALPHANUMERIC = string.ascii_lowercase + string.digits
BASE32 = string.ascii_uppercase + "234567"
SECRET = string.ascii_letters + string.digits + "+/"


@dataclass(frozen=True)
class Ids:
    """Makes identifiers; `random` is seeded in tests and the system's own generator in a daemon."""

    random: random.Random

    def new(self, prefix: str) -> str:
        """An EC2 id: the prefix and 17 hexadecimal digits."""
        return f"{prefix}-{self.hex(17)}"

    def hex(self, length: int) -> str:
        return f"{self.random.getrandbits(4 * length):0{length}x}"

    def text(self, length: int, alphabet: Sequence[str] = ALPHANUMERIC) -> str:
        return "".join(self.random.choice(alphabet) for _ in range(length))

    def account(self) -> str:
        """Twelve digits, none of them a leading zero that a spreadsheet would eat."""
        return str(self.random.randrange(10**11, 10**12))

    def access_key(self, prefix: str = "AKIA") -> tuple[str, str]:
        """An access key id and its secret."""
        return prefix + self.text(16, BASE32), self.text(40, SECRET)

    def mac(self) -> str:
        """A locally administered unicast hardware address."""
        return "02:" + ":".join(self.hex(2) for _ in range(5))

    def uuid(self) -> str:
        return "-".join(self.hex(length) for length in (8, 4, 4, 4, 12))
