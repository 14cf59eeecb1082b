"""Bad rows are found among good ones and become letters; where every row fails, the rows are kept, in their order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.integration.delivery.triage import Triage
from tieline.integration.delivery.verdicts import LONE, PROOF, STEPS, TRIES, Came, End
from tieline.integration.messages.message import Message
from tieline.integration.rules.compile.compile import Item

Server = Callable[[Sequence[int]], End]


def items(numbers: Sequence[int]) -> list[Item]:
    return [({"n": number}, Message("t")) for number in numbers]


def number(item: Item) -> int:
    found: int = item[0]["n"]
    return found


class Run:
    """Rows through a triage against a server that is a function."""

    def __init__(self, server: Server, ordered: bool = False) -> None:
        self.triage = Triage(ordered)
        self.server = server
        self.taken: list[int] = []
        self.letters: list[int] = []
        self.writes = self.pauses = 0

    def work(self, numbers: Sequence[int], more: bool = False) -> None:
        """Take rows, and try what can be tried before a pause."""
        self.triage.take(items(numbers))
        while rows := self.triage.next(1000):
            end = self.server([number(item) for item in rows])
            verdict = self.triage.ended(len(rows), end)
            self.writes += 1
            self.pauses += verdict.pause
            self.taken += map(number, verdict.taken)
            self.letters += [number(case.item) for case in verdict.letters]
            if verdict.pause and self.pauses > 200:
                break
        self.letters += [number(case.item) for case in self.triage.rest(more)]

    def again(self, times: int = 1) -> None:
        """A pause is over."""
        for _ in range(times):
            self.triage.again()
            self.work([])


def bad(came: Came, *those: int) -> Server:
    """A server that fails as a whole where any of these rows is in a write."""
    return lambda rows: End(came, why="bad") if set(rows) & set(those) else End("taken")


def naming(came: Came, *those: int, all_or_nothing: bool = True) -> Server:
    """A server that names the first of these rows, or writes the others and names all."""

    known = frozenset(those)

    def write(rows: Sequence[int]) -> End:
        wrong = {place: "bad" for place, row in enumerate(rows) if row in known}
        if not wrong:
            return End("taken")
        if all_or_nothing:
            first = min(wrong)
            return End(came, rows={first: "bad"}, why="bad")
        return End(came, [place for place in range(len(rows)) if place not in wrong], wrong, "bad")

    return write


def nothing(came: Came) -> Server:
    return lambda rows: End(came, why="no")


def test_the_table_has_a_step_for_every_end() -> None:
    known = itertools.product(("refused", "answer", "silence", "away"), (False, True), (False, True))
    assert set(STEPS) == set(known)


SERVERS = [
    *(pytest.param(lambda *those, c=came: bad(c, *those), id=f"{came}, unnamed") for came in ("refused", "answer")),
    pytest.param(lambda *those: bad("silence", *those), id="silence"),
    *(pytest.param(lambda *those, c=came: naming(c, *those), id=f"{came}, named") for came in ("refused", "answer")),
    *(
        pytest.param(lambda *those, c=came: naming(c, *those, all_or_nothing=False), id=f"{came}, the others written")
        for came in ("refused", "answer")
    ),
]


@pytest.mark.parametrize("ordered", [False, True], ids=["", "ordered"])
@pytest.mark.parametrize("server", SERVERS)
@settings(max_examples=12, deadline=None)
@given(wrong=st.sets(st.integers(0, 399), max_size=60))
def test_bad_rows_among_good_ones_become_letters_and_no_others(
    server: Callable[..., Server], ordered: bool, wrong: set[int]
) -> None:
    run = Run(server(*wrong), ordered)
    for start in range(0, 400, 100):
        run.work(range(start, start + 100))
        run.again(TRIES)
    for extra in range(1000, 1030):  # good rows that come later
        run.work([extra])
        run.again()
    good = [n for n in range(400) if n not in wrong]
    assert sorted(run.letters) == sorted(wrong)
    assert sorted(run.taken) == [*good, *range(1000, 1030)]
    if ordered:
        assert run.taken == sorted(run.taken)
    assert run.triage.idle


@pytest.mark.parametrize("ordered", [False, True], ids=["", "ordered"])
@pytest.mark.parametrize("came", ["refused", "answer", "silence", "away"])
def test_where_everything_fails_the_rows_are_kept_and_go_in_when_it_is_over(came: Came, ordered: bool) -> None:
    run = Run(nothing(came), ordered)
    run.work(range(1000))
    run.again(6)
    assert run.letters == run.taken == []
    run.server = lambda rows: End("taken")
    run.again()
    assert run.letters == [] and sorted(run.taken) == list(range(1000))
    assert run.taken == sorted(run.taken) or not ordered
    assert run.triage.idle


@pytest.mark.parametrize("came", ["refused", "answer"])
def test_a_failure_of_everything_that_begins_in_the_midst_of_rows_costs_few_of_them(came: Came) -> None:
    for server in (nothing(came), naming(came, *range(100_000)), naming(came, *range(100_000), all_or_nothing=False)):
        run = Run(lambda rows: End("taken"))
        run.work(range(500))
        run.server = nothing(came)
        run.work(range(500, 1500))
        run.server = server
        for start in range(1500, 3000, 100):
            run.work(range(start, start + 100), more=True)
            run.again()
        assert len(run.letters) <= PROOF + 1
        run.server = lambda rows: End("taken")
        run.again(2)
        assert sorted(run.taken + run.letters) == list(range(3000))


def test_single_refusals_are_letters_at_once_until_nothing_else_was_taken_for_too_long() -> None:
    run = Run(nothing("refused"))
    for row in range(30):
        run.work([row])
    assert run.letters == list(range(PROOF))
    run.again(3)
    assert run.letters == list(range(PROOF))
    assert run.triage.stuck


def test_an_error_that_passes_by_itself_is_no_row_s_fault() -> None:
    left = dict.fromkeys(range(0, 100, 2), 2)

    def flaky(rows: Sequence[int]) -> End:
        wrong = {}
        for place, row in enumerate(rows):
            if left.get(row):
                left[row] -= 1
                wrong[place] = "busy"
        return End("answer", [p for p in range(len(rows)) if p not in wrong], wrong, "busy") if wrong else End("taken")

    run = Run(flaky)
    run.work(range(100))
    run.again(10)
    assert run.letters == [] and sorted(run.taken) == list(range(100))


def test_rows_go_on_while_one_is_suspected_unless_their_order_is_kept() -> None:
    run = Run(naming("answer", 3, all_or_nothing=False))
    run.work(range(10))
    assert run.letters == [] and run.taken == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    run.work(range(10, 20))
    assert len(run.taken) == 19
    run.again(TRIES)
    assert run.letters == [3]


def test_a_row_that_is_the_last_of_all_becomes_a_letter_when_it_had_more_tries() -> None:
    for server in (bad("answer", 9), naming("answer", 9, all_or_nothing=False)):
        run = Run(server)
        run.work(range(10))
        run.again(LONE - 2)
        assert run.letters == []
        run.again()
        assert run.letters == [9] and run.taken == list(range(9))


def test_a_bad_row_is_found_in_few_writes() -> None:
    most: dict[Came, int] = {"refused": 40, "silence": 60}  # of which 10 halve 1,000 rows
    for came, writes in most.items():
        run = Run(bad(came, 617))
        run.work(range(1000))
        assert run.writes <= writes


def test_rows_that_take_too_long_together_go_in_smaller_writes_from_then_on() -> None:
    run = Run(lambda rows: End("silence") if len(rows) > 100 else End("taken"))
    run.work(range(1000))
    assert run.taken == list(range(1000)) and run.writes < 30
    before = run.writes
    run.work(range(1000, 2000))
    assert run.writes - before < 20
