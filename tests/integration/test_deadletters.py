"""Dead letters survive the process, are bounded, and keep whatever bytes a message had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from tieline.integration.delivery.dead_letters import FILE, PAGE_BYTES, DeadLetters, letter, listed, page
from tieline.integration.delivery.replay import restored
from tieline.integration.messages import events
from tieline.integration.messages.message import Message
from tieline.integration.worker import messages


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


def nested(levels: int, inner: object = 1) -> object:
    value = inner
    for _ in range(levels):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize(
    "output",
    [
        nested(2000),
        {"n": 1 << 70, "huge": 1 << 5000, "nan": float("nan"), "inf": float("-inf")},
        {"bytes": b"\x00\xff", "half": "\ud800", "\ud800": 1, "set": {1}, "object": object()},
        {1: "one", None: 2, (1, 2): 3, 2.5: 4},
        {"text": "x" * 10_000_000, "list": list(range(1_000_000))},
        ["no", "map"],
        "text",
    ],
    ids=["deep", "numbers", "no text", "keys", "huge", "list", "string"],
)
def test_whatever_happened_to_a_message_becomes_a_letter(tmp_path: Path, output: object) -> None:
    letters = DeadLetters(tmp_path)
    letters.add([letter(Message("t", b'{"deep": 1}', 1, 7), "r", "a", "why\ud800" * 100_000, 7, output)])
    (one,) = DeadLetters(tmp_path).list()
    assert one == letters.list()[0] and one.message["payload"] == '{"deep": 1}'
    assert (tmp_path / FILE).stat().st_size < 1 << 20
    assert json.loads(msgspec.json.encode(one))["error"].startswith("why")
    orjson.dumps(one.output)  # which goes down 254 levels


@pytest.mark.parametrize(
    "message",
    [
        Message(events.PREFIX + "client_connected", orjson.dumps({"clientid": "c", "event": "client.connected"})),
        Message(events.PREFIX + "client_connected", b"[" * 500 + b"]" * 500),
        Message("t", b"\xff" * 1000),
        Message("t", b"{" * 100_000),
        Message("t", known={"id": "i", "pub_props": nested(2000)}),
        Message("t", known={"id": 1 << 80, "qos": float("nan"), "headers": "\ud800"}),
    ],
)
def test_whatever_a_message_holds_it_becomes_a_letter(tmp_path: Path, message: Message) -> None:
    DeadLetters(tmp_path).add([letter(message, "r", "", "why", 7)])
    (one,) = DeadLetters(tmp_path).list()
    assert restored(one.message).payload == message.payload or message.topic.startswith(events.PREFIX)


def test_a_message_is_stored_once_however_many_rows_of_it_are_refused(tmp_path: Path) -> None:
    letters, payload = DeadLetters(tmp_path), b"x" * 300_000
    message = Message("t", payload, 1, 7)
    for action in ("a", "b"):
        known: dict[int, Any] = {}
        letters.add([letter(message, "r", action, "why", 7, {"n": n}, known) for n in range(1000)])
    assert (tmp_path / FILE).stat().st_size < 3 * len(payload)
    again = DeadLetters(tmp_path)
    assert len({id(one.message) for one in again.list()}) == 1
    first = again.list()[0]
    again.remove([first.id])  # which had the message with it
    again.edit(again.list()[0].id, {"payload": "other"})
    found = DeadLetters(tmp_path).list()
    assert len(found) == 1999 and found[0].message["payload"] == "other"
    assert {one.message["payload"] for one in found[1:]} == {payload.decode()}


def test_letters_are_bounded_by_their_bytes(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, limit_bytes=1_000_000)
    for number in range(40):
        letters.add([letter(Message("t", b"%d" % number + b"x" * 100_000), "r", "a", str(number), number)])
    assert (tmp_path / FILE).stat().st_size <= 1_100_000
    assert letters.list()[-1].error == "39" and letters.dropped + len(letters) == 40
    letters.add([letter(Message("t", b"x" * 3_000_000), "r", "a", "larger than all", 50)])
    assert [one.error for one in DeadLetters(tmp_path).list()] == ["larger than all"]


def test_letters_of_versions_before_are_read(tmp_path: Path) -> None:
    deep = json.dumps(nested(120))
    old = (
        '{"id":"1","time":7,"rule":"r","action":"a","error":"no","message":{"topic":"t","payload":"{}"},"output":{"a":1}}\n'
        '{"id":"2","time":8,"rule":"r","action":"","error":"no","message":{"topic":"t","payload_base64":"/w=="},"output":null}\n'
        f'{{"id":"3","time":9,"rule":"r","action":"","error":"no","message":{{"topic":"t"}},"output":{deep}}}\n'
    )
    (tmp_path / FILE).write_text(old)
    letters = DeadLetters(tmp_path)
    assert [one.id for one in letters.list()] == ["1", "2", "3"] and letters.list()[0].output == {"a": 1}
    letters.add([letter(Message("t", b"{}"), "r", "a", "new", 10)])
    assert [one.id for one in DeadLetters(tmp_path).list()][:3] == ["1", "2", "3"]


def test_an_answer_has_no_more_letters_than_fit_and_says_that_some_are_left() -> None:
    letters = [letter(Message("t", b"%d" % n + b"x" * 1_000_000), "r", "a", "", n) for n in range(10)]
    seen: list[str] = []
    asked = messages.Letters(id=1, limit=8)
    while True:
        found, more = listed(letters, asked)
        assert len(msgspec.json.encode(found)) < PAGE_BYTES + 1000
        seen += [one.id for one in found]
        if not more and len(found) < 8:
            break
        asked = messages.Letters(id=1, limit=8, after=(found[-1].time, found[-1].id))
    assert seen == [one.id for one in letters]
    huge, _ = listed([letter(Message("t", b"x" * 10_000_000), "r", "a", "", 1)], messages.Letters(id=1))
    assert huge[0].message["payload_bytes"] == 10_000_000 and len(huge[0].message["payload"]) < 100_000
    bare, _ = listed(letters, messages.Letters(id=1, bare=True))
    assert [one.message for one in bare] == [{}] * 10
