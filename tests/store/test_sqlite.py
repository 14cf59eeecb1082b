"""A commit is all or nothing, and only for the one who read the present version."""

from pathlib import Path

import pytest

from tieline.store import Change, Conflict, Document, SQLiteStore


def test_a_document_counts_its_writes(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "s.db")
    store.commit([Change("vpc", "a", 0, b"1")])
    store.commit([Change("vpc", "a", 1, b"2")])
    assert store.get("vpc", "a") == Document("vpc", "a", 2, b"2")
    store.close()


@pytest.mark.parametrize(
    "late", [Change("vpc", "a", 0, b"x"), Change("vpc", "a", 7, b"x"), Change("vpc", "a", 7, None)]
)
def test_a_late_write_changes_nothing(tmp_path: Path, late: Change) -> None:
    store = SQLiteStore(tmp_path / "s.db")
    store.commit([Change("vpc", "a", 0, b"1")])
    with pytest.raises(Conflict):
        store.commit([Change("vpc", "b", 0, b"1"), late])
    assert store.load() == [Document("vpc", "a", 1, b"1")]
    store.close()


def test_documents_outlive_the_process(tmp_path: Path) -> None:
    first = SQLiteStore(tmp_path / "s.db")
    first.commit([Change("vpc", "a", 0, b"1"), Change("subnet", "b", 0, b"2")])
    first.close()
    second = SQLiteStore(tmp_path / "s.db")
    assert [document.id for document in second.load("vpc")] == ["a"]
    second.commit([Change("vpc", "a", 1, None)])
    assert second.get("vpc", "a") is None
    second.close()


def test_the_newest_come_first_and_no_more_than_asked_for(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "s.db")
    store.commit([Change(kind, id, 0, b"1") for kind in ("log", "other") for id in "abcd"])
    assert [document.id for document in store.newest("log", 2)] == ["d", "c"]
    assert [document.id for document in store.newest("log", 9, before="c")] == ["b", "a"]
    assert [*store.newest("log", 9, before="a"), *store.newest("nothing", 9)] == []
    store.close()
