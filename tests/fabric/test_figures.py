"""Totals that grow become minutes; a total that was counted anew is not taken away, and an old one not counted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tieline.fabric.core.figures import ACTIVE, KEPT, Book

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEY = ("vpce-1", "tcp:80")


def points(book: Book, name: str, period: timedelta = MINUTE) -> list[list[float]]:
    return list(book.points([KEY], [name], NOW - timedelta(days=1), NOW + timedelta(days=1), period).values())


def test_growth_is_added_to_its_minute_and_a_counter_that_began_anew_counts_from_nothing() -> None:
    book = Book()
    for seconds, total in ((0, 5), (10, 8), (60, 9), (70, 2)):
        book.note(NOW + timedelta(seconds=seconds), KEY, {"bytes": total})
    assert points(book, "bytes") == [[8], [3]]
    assert points(book, "bytes", timedelta(hours=1)) == [[8, 3]]


def test_what_was_there_before_the_first_look_is_not_counted() -> None:
    book = Book()
    book.note(NOW, KEY, {"bytes": 1000}, known=True)
    book.note(NOW, KEY, {"bytes": 1001})
    assert points(book, "bytes") == [[1]]


def test_open_flows_are_an_amount_and_idle_minutes_have_no_point() -> None:
    book = Book()
    for minute, active in enumerate((3, 0, 2)):
        book.note(NOW + minute * MINUTE, KEY, {"bytes": 0}, active)
    assert points(book, ACTIVE) == [[3], [2]]
    assert points(book, "bytes") == []


def test_old_minutes_and_what_is_gone_are_dropped() -> None:
    book = Book()
    book.note(NOW, KEY, {"bytes": 1})
    book.note(NOW + KEPT + 2 * MINUTE, KEY, {"bytes": 1})
    assert points(book, "bytes") == []
    book.forget(["vpce-2"])
    assert book.ports("vpce-1") == []
