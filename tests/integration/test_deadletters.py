"""Dead letters survive the process, are bounded, and keep whatever bytes a message had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tieline.integration.deadletters import FILE, DeadLetters, letter, page
from tieline.integration.message import Message


def test_they_survive_and_can_be_removed(tmp_path: Path) -> None:
    first = DeadLetters(tmp_path)
    first.add(
        [
            letter(Message("t", b'{"a":1}'), "r", "a", "why", 7, {"a": 1}),
            letter(Message("t", b"\xff"), "r", "", "no", 8),
        ]
    )
    again = DeadLetters(tmp_path)
    assert again.list() == first.list()
    assert [one.message.get("payload", one.message.get("payload_base64")) for one in again.list()] == [
        '{"a":1}',
        "/w==",
    ]
    again.remove([again.list()[0].id])
    assert [one.error for one in DeadLetters(tmp_path).list()] == ["no"]


def test_a_line_cut_short_by_a_crash_is_left_out_and_harms_no_other(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path)
    letters.add([letter(Message("t", b"1"), "r", "a", "one", 7), letter(Message("t", b"2"), "r", "a", "two", 7)])
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:-20])
    cut = DeadLetters(tmp_path)
    assert [one.error for one in cut.list()] == ["one"]
    cut.add([letter(Message("t", b"3"), "r", "a", "three", 7)])
    assert [one.error for one in DeadLetters(tmp_path).list()] == ["one", "three"]


def test_the_oldest_make_room_and_are_counted(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, limit=10)
    for number in range(30):
        letters.add([letter(Message("t"), "r", "a", str(number), 7)])
    assert 10 <= len(letters) <= 11
    assert letters.list()[-1].error == "29"
    assert letters.dropped + len(letters) == 30
    assert len(DeadLetters(tmp_path, limit=10)) == len(letters)


def test_a_letter_is_corrected(tmp_path: Path) -> None:
    first = DeadLetters(tmp_path)
    first.add([letter(Message("t", b"\xff"), "r", "", "no", 8)])
    first.edit("another", {"payload": "{}"})
    first.edit(first.list()[0].id, {"payload": "{}", "topic": "u"})
    message = DeadLetters(tmp_path).list()[0].message
    assert (message["payload"], message["topic"]) == ("{}", "u") and "payload_base64" not in message


def test_pages_of_letters_leave_nothing_out() -> None:
    letters = [letter(Message("t"), "r" if n % 2 else "s", "", "", n // 3) for n in range(10)]
    seen: list[str] = []
    after = (0, "")
    while found := page(letters, "", after, 4):
        seen += [one.id for one in found]
        after = (found[-1].time, found[-1].id)
    assert sorted(seen) == sorted(one.id for one in letters) and len(seen) == 10
    assert {one.rule for one in page(letters, "r", (0, ""), 9)} == {"r"}


def test_a_disk_that_is_full_changes_nothing(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path)
    letters.add([letter(Message("t", b"1"), "r", "a", "one", 7)])
    known = letters.list()
    (tmp_path / FILE).with_suffix(".new").symlink_to("/dev/full")
    with pytest.raises(OSError):
        letters.remove([known[0].id])
    with pytest.raises(OSError):
        letters.edit(known[0].id, {"payload": "2"})
    assert letters.list() == known == DeadLetters(tmp_path).list()


def test_a_letter_that_is_done_is_gone_at_once_and_off_the_disk_when_it_is_told(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path)
    letters.add([letter(Message("t", b"1"), "r", "a", why, 7) for why in ("one", "two")])
    letters.finish(letters.list()[0].id)
    letters.finish("another")
    assert [one.error for one in letters.list()] == ["two"]
    assert [one.error for one in DeadLetters(tmp_path).list()] == ["one", "two"]
    letters.save()
    assert [one.error for one in DeadLetters(tmp_path).list()] == ["two"]
