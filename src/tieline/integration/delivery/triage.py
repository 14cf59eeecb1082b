"""Whose fault it is that rows are not in, theirs or the server's, judged by how writes end, without I/O and clock.

Rows are written from the front, in a window that shrinks while writes fail and grows while they succeed, so that a bad
row among many is found by halving. A row that fails by itself is set aside, and the others go on. What the server takes
proves it well; a row that fails while others are taken becomes a letter. Where every row fails, nothing becomes one:
the rows are kept, in their order, and tried again after pauses.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable

from tieline.integration.delivery.verdicts import (
    FARTHEST,
    FEW,
    LONE,
    NAMED,
    ORDERED_PATIENCE,
    PATIENCE,
    PROOF,
    REACH,
    STEPS,
    TRIES,
    WIDEST,
    Came,
    Case,
    End,
    Step,
    Verdict,
)
from tieline.integration.rules.compile.compile import Item


class Triage:
    """The rows of one action that are in hand while something is wrong. With `ordered` no row overtakes one that may
    still be written.
    """

    def __init__(self, ordered: bool) -> None:
        self.ordered = ordered
        self.aside: list[Case] = []
        self._rows: deque[Case] = deque()
        self._numbers = itertools.count()
        self._window = self._ceiling = WIDEST
        self._tries = 0  # writes that failed since rows were taken
        self._patience = TRIES  # tries that a row gets by itself
        self._taken = 0  # rows so far
        self._unproven = 0  # letters since a row was taken
        self._reach = self._base
        self._named = 0  # rows that were named, one by one, in writes of the present window
        self._promised = False  # whether a write named the rows that kept it from being taken
        self._looked = False  # whether the oldest row that failed is being tried before a further one
        self._recovering = False  # rows are taken again, perhaps some that failed before

    # What is in hand

    @property
    def _base(self) -> int:
        return PROOF if self.ordered else REACH

    @property
    def idle(self) -> bool:
        """Whether nothing is in hand."""
        return not self._rows and not self.aside

    @property
    def waiting(self) -> int:
        """The rows that can be tried at once."""
        return len(self._rows)

    @property
    def window(self) -> int:
        """The rows of the next write at most."""
        return self._window

    @property
    def held(self) -> bool:
        """Whether so many rows failed, and none was taken, that more are not to be tried now."""
        return len(self.aside) >= self._reach

    @property
    def stuck(self) -> bool:
        """Whether no row was taken since those failed that are set aside."""
        return bool(self.aside) and all(case.suspected == self._taken for case in self.aside)

    def items(self) -> list[Item]:
        """The rows in hand."""
        return [case.item for case in (*self.aside, *self._rows)]

    def take(self, items: Iterable[Item]) -> None:
        """Take rows, behind those in hand."""
        self._rows.extend(Case(item, next(self._numbers)) for item in items)

    def again(self, farther: bool = True) -> None:
        """Try what is set aside once more, before the others; `farther`: and more rows, where all of them failed."""
        if self.held and farther:
            self._reach = min(self._reach * 2, FARTHEST)
        if self.aside:
            self._window = 1
        self._rows.extendleft(sorted(self.aside, key=lambda case: -case.number))
        self.aside = []

    def drop(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        """Forget the rows that are not wanted any more, and return them."""
        gone = [item for item in self.items() if unwanted(item)]
        if gone:
            self._rows = deque(case for case in self._rows if not unwanted(case.item))
            self.aside = [case for case in self.aside if not unwanted(case.item)]
        return gone

    # What is tried, and what comes of it

    def next(self, most: int) -> list[Item]:
        """The rows to write now, at most so many; none where nothing can be tried before a pause."""
        if not self._rows or (self.held and not self._promised):
            return []
        self._look_back()
        if self._rows[0].fails and not self._recovering:
            return [self._rows[0].item]
        return [self._rows[place].item for place in range(min(self._window, most, len(self._rows)))]

    def _look_back(self) -> None:
        """Where order is kept and some rows failed, try the oldest of them before each further row: if that were taken
        once the server is mended, it would overtake all of them.
        """
        self._looked = self.ordered and len(self.aside) > 1 and not self._looked
        if self._looked:
            oldest = min(self.aside, key=lambda case: case.number)
            self.aside.remove(oldest)
            self._rows.appendleft(oldest)

    def ended(self, count: int, end: End) -> Verdict:
        """What follows from how the write of the first `count` rows ended."""
        tried = [self._rows.popleft() for _ in range(count)]
        written = frozenset(range(count) if end.came == "taken" else end.written)
        before = self._taken
        letters = self._passed([tried[place] for place in sorted(written)])
        self._promised = end.came == "refused" and not written and 0 < len(end.rows) < count
        left = [case for place, case in enumerate(tried) if place not in written]
        for case in left:
            if case.suspected < 0:
                case.suspected = before if end.came == "refused" else self._taken
        step = self._step(end, tried, left)
        said = end.rows or ({0: end.why} if count == 1 and left else {})
        alone = [] if end.came == "away" else [(tried[place], said[place]) for place in sorted(said)]
        blamed, stay = self._failed(end.came == "refused", alone, before)
        letters += blamed
        if step is Step.ASIDE:
            self.aside += stay
        gone = {id(case) for case in (*blamed, *(stay if step is Step.ASIDE else ()))}
        self._rows.extendleft(case for case in reversed(left) if id(case) not in gone)
        taken = [tried[place].item for place in sorted(written)]
        return Verdict(taken, letters, step is Step.AGAIN and not letters)

    def _step(self, end: End, tried: list[Case], left: list[Case]) -> Step | None:
        """What is done about the rows that are left, None where they are tried at once; also the next window."""
        if not left:
            self._grow(len(tried))
            return None
        self._recovering = False
        some = len(left) < len(tried)
        if end.rows and (len(tried) > 1 or some):
            if not some and len(end.rows) == 1:
                self._named_one(len(tried))
            return Step.AGAIN if self.ordered and end.came != "refused" else Step.ASIDE
        if some:
            return None if end.came == "refused" else Step.AGAIN
        return self._told(end.came, tried)

    def _told(self, came: Came, tried: list[Case]) -> Step:
        """What the table says of rows none of which is in."""
        self._tries += 1
        one = len(tried) == 1
        if one:
            suspected = not self.ordered or tried[0].fails + 1 >= self._most_tries()
        else:
            suspected = self._taken > tried[0].suspected or self._tries >= TRIES
        step = STEPS[came, one, suspected]
        if step is Step.NARROW:
            self._window = len(tried) // 2
            if came == "silence":
                self._ceiling = self._window
        return step

    def _named_one(self, count: int) -> None:
        """The others are tried without the row that was named, and fewer of them where one after the other is: a write
        that fails costs little, a commit much.
        """
        self._named += 1
        self._window = max(1, count - 1)
        if self._named >= NAMED and count > FEW:
            self._window, self._named = max(FEW, count // 2), 0

    def _grow(self, count: int) -> None:
        self._tries = self._named = 0
        self._window = min(max(self._window, count) * 2, self._ceiling)
        if self._ceiling < WIDEST:
            self._ceiling += max(1, self._ceiling // 16)

    def _passed(self, cases: list[Case]) -> list[Case]:
        """Rows were taken: those that failed before them are to blame; many are tried once more, as the server may have
        been mended between.
        """
        if not cases:
            return []
        if any(case.later and not case.refused for case in cases):  # the same row, at first not and then taken
            self._patience = PATIENCE
        self._taken += len(cases)
        few = 0 if self._reach > self._base else REACH  # none where there was a pause since they failed
        few = WIDEST if self._promised else few
        self._unproven, self._reach, self._recovering = 0, self._base, True
        last = max(case.number for case in cases)
        blamed = (lambda case: case.number < last) if self.ordered else (lambda case: case.refused)
        letters = [] if len(self.aside) > few and not self.ordered else list(filter(blamed, self.aside))
        if self.ordered or len(self.aside) > few:
            gone = {id(case) for case in letters}
            self.aside = [case for case in self.aside if id(case) not in gone]
            self.again()
        else:
            self.aside = [case for case in self.aside if not case.refused]
        return letters

    def _failed(self, refused: bool, said: list[tuple[Case, str]], before: int) -> tuple[list[Case], list[Case]]:
        """Note rows that failed by themselves, with what was said: those that are to blame, and those that may not be.
        `before`: the rows that were taken until that write.
        """
        taken = self._taken - before
        blamed, stay = [], []
        for case, why in said:
            case.why, case.refused = why, refused
            case.fails += 1
            case.company = case.company or len(said) <= min(taken, PROOF)
            if case.failed < 0:
                case.failed = self._taken
            elif before > case.failed:
                case.later += 1
            if self._to_blame(case) or (refused and case.fails == 1 and 2 * taken >= len(said)):
                self._unproven += not case.later
                blamed.append(case)
            else:
                stay.append(case)
        return blamed, stay

    def _most_tries(self) -> int:
        return min(self._patience, ORDERED_PATIENCE) if self.ordered else self._patience

    def _spent(self, case: Case) -> bool:
        """Whether the row has had its tries."""
        return case.refused or case.fails >= self._most_tries()

    def _to_blame(self, case: Case) -> bool:
        """Whether the row is at fault, and not the server."""
        if not self._spent(case) or case.later:
            return self._spent(case)
        known = self._taken > case.suspected or case.company
        return known and self._unproven < PROOF and (case.refused or case.fails >= LONE)

    def rest(self, more: bool) -> list[Case]:
        """The rows to blame now that everything in hand was tried; `more` says that others wait to be."""
        if more or self._rows or len(self.aside) + self._unproven > PROOF:
            return []
        letters = [case for case in self.aside if case.refused]
        self._unproven += len(letters)
        self.aside = [case for case in self.aside if not case.refused]
        return letters
