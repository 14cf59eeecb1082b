"""What a rule may make of one message: the one place where the bounds stand.

A function that may make much of little takes what it makes from `left` before it makes it, by `spend`. What the others
make is no longer than what they are given, so for a message that is not large it is enough to know how many there are:
that costs nothing. A message that could come near the bound is done again with each result counted, by `metered`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from tieline.integration.rules.values.errors import RuleFailure

T = TypeVar("T")

MAX_VALUE: Final = 16 << 20  # bytes or characters of one text
MAX_MADE: Final = 64 << 20  # of all that a rule makes of one message, and of each output
MAX_OUTPUTS: Final = 100_000  # of one message
MAX_KEPT: Final = 64 << 20  # of what rules keep between messages
ELEMENT: Final = 64  # bytes that an element of an array or a map takes besides what is in it
WRITTEN: Final = 16  # that it counts in an output, of which the text matters
SMALL: Final = 256  # bytes that need not count: no more than the map of an output takes, however short its texts are

left: Final = [MAX_MADE]  # that may be made for the present message


class Excess(RuleFailure):
    """A rule makes more of a message than it may."""


def spend(size: int) -> None:
    """Take so much from what may be made; raises Excess."""
    if size > MAX_VALUE:
        raise Excess(f"it makes a value of {size} bytes, and at most {MAX_VALUE} are taken")
    left[0] -= size
    if left[0] < 0:
        raise _too_much()


def _too_much() -> Excess:
    return Excess(f"the rule makes more than {MAX_MADE} bytes of this message")


def weight(value: Any, most: int = MAX_MADE, element: int = ELEMENT) -> int:
    """The size of a value with all that is in it, as often as it is in it; raises Excess beyond `most`.

    Measured: a quarter of a second for the largest.
    """
    total, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, (str, bytes)):
            total += len(one)
        elif isinstance(one, list):
            total += element * len(one)
            waiting += one
        elif isinstance(one, dict):
            total += element * len(one) + sum(map(len, one))
            waiting += one.values()
        if total > most:
            raise _too_much()
    return total


def grown(value: T) -> T:
    """An array or a map that has just been made of others, all of which counts: what is in it twice is sent twice."""
    left[0] -= weight(value, min(left[0], MAX_VALUE))
    return value


def metered(run: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with what it gives counted."""

    def counted(*arguments: Any) -> Any:
        made = run(*arguments)
        if made.__class__ in (str, bytes, list, dict):
            left[0] -= weight(made, left[0])
        return made

    return counted


def check_outputs(outputs: list[dict[str, Any]]) -> None:
    """Raises Excess where one of them is larger than it may be."""
    for output in outputs:
        weight(output, element=WRITTEN)
