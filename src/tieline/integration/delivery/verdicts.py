"""What follows from how a write ended, as a table, and what is known of a row that is not in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

from tieline.integration.rules.compile.compile import Item

TRIES: Final = 3  # writes that an error gets to pass by itself, before it counts against the rows
PROOF: Final = 10  # letters, with no row taken between, after which the rows are not to blame any more
REACH: Final = 100  # rows that fail one after the other before they are kept, and a pause is made
FARTHEST: Final = 10_000  # rows that are tried between two pauses at most, looking for one that is taken
NAMED: Final = 8  # rows of a window that the server names one after the other, before fewer are tried
FEW: Final = 32  # rows of a window that is not halved for these
WIDEST: Final = 1 << 20  # rows of a window: more than any batch has
LONE: Final = 8  # tries, over some seconds, where others were taken before and none comes that could be taken since
PATIENCE: Final = 48  # tries at most where rows were seen to be taken that had failed while others were taken
ORDERED_PATIENCE: Final = 6  # the same, while all others wait

#: How a write ended: every row is in; rows are refused, for good; an error that the rows or the server may be guilty
#: of; no answer; the server was not reached, or says that it takes nothing now.
Came = Literal["taken", "refused", "answer", "silence", "away"]


class Step(Enum):
    """What is done next about the rows that are not in."""

    AGAIN = "write the same rows again, after a pause"
    NARROW = "write half of them"
    ASIDE = "set the row aside, and go on with the others"


#: By how the write ended, whether it was of one row, and whether the rows are suspected: other rows were taken since
#: the first failure, or the error had its tries.
STEPS: Final[Mapping[tuple[Came, bool, bool], Step]] = {
    ("refused", False, False): Step.NARROW,
    ("refused", False, True): Step.NARROW,
    ("refused", True, False): Step.ASIDE,
    ("refused", True, True): Step.ASIDE,
    ("answer", False, False): Step.AGAIN,
    ("answer", False, True): Step.NARROW,
    ("answer", True, False): Step.AGAIN,
    ("answer", True, True): Step.ASIDE,
    ("silence", False, False): Step.NARROW,  # it had its time; fewer rows may do in it
    ("silence", False, True): Step.NARROW,
    ("silence", True, False): Step.AGAIN,
    ("silence", True, True): Step.ASIDE,
    ("away", False, False): Step.AGAIN,
    ("away", False, True): Step.AGAIN,
    ("away", True, False): Step.AGAIN,
    ("away", True, True): Step.AGAIN,
}


@dataclass(slots=True, eq=False)
class Case:
    """One row that is not in yet. Times are counts of rows that were taken until then, -1 before they happened."""

    item: Item
    number: int  # in the order of arrival
    why: str = ""
    refused: bool = False  # the last word was a refusal for good
    fails: int = 0  # writes in which it failed by itself
    later: int = 0  # of these, after another row was taken that came after the first of them
    suspected: int = -1  # when a write of it failed first, alone or with others
    failed: int = -1  # when it failed first by itself
    company: bool = False  # others were taken in the same write, and few failed


@dataclass(frozen=True)
class End:
    """How a write ended: what is in, and what was said of single rows, by their place in the window."""

    came: Came
    written: Collection[int] = ()
    rows: Mapping[int, str] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True)
class Verdict:
    """What follows from a write: rows that are in, rows that become letters, and whether a pause is due before more."""

    taken: list[Item] = field(default_factory=list)
    letters: list[Case] = field(default_factory=list)
    pause: bool = False
