"""EC2's filters against a list of small records."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.fabric.aws.protocol.errors import AwsError
from tieline.fabric.aws.service.filters import pattern, select, within


class Thing(NamedTuple):
    id: str
    groups: tuple[str, ...]
    default: bool
    note: str | None
    tags: Mapping[str, str]


THINGS = [
    Thing("a-1", ("g1", "g2"), True, None, {"Name": "front", "team": "x"}),
    Thing("a-2", ("g2",), False, "100% *real*", {"Name": "Front"}),
    Thing("b-1", (), False, "", {}),
]
FIELDS = {
    "id": lambda thing: thing.id,
    "group": lambda thing: thing.groups,
    "default": lambda thing: thing.default,
    "note": lambda thing: thing.note,
}


def chosen(*filters: tuple[str, list[str]]) -> str:
    asked: Sequence[Mapping[str, Any]] = [{"Name": name, "Values": values} for name, values in filters]
    return " ".join(thing.id for thing in select(THINGS, asked, FIELDS))


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], "a-1 a-2 b-1"),
        ([("id", ["a-1"])], "a-1"),
        ([("id", ["a-1", "b-1"])], "a-1 b-1"),
        ([("id", ["a-*"]), ("group", ["g2"])], "a-1 a-2"),
        ([("id", ["a-*"]), ("group", ["g1"])], "a-1"),
        ([("id", ["?-1"])], "a-1 b-1"),
        ([("id", ["A-1"])], ""),
        ([("id", ["a-1?"])], ""),
        ([("id", ["*"])], "a-1 a-2 b-1"),
        ([("default", ["true"])], "a-1"),
        ([("default", ["false"])], "a-2 b-1"),
        ([("note", ["*"])], "a-2 b-1"),
        ([("note", [""])], "b-1"),
        ([("note", [r"*\*real\*"])], "a-2"),
        ([("note", [r"*\?real\*"])], ""),
        ([("tag:Name", ["front"])], "a-1"),
        ([("tag:Name", ["?ront"])], "a-1 a-2"),
        ([("tag-key", ["team", "none"])], "a-1"),
        ([("tag:team", ["*"]), ("tag-key", ["Name"])], "a-1"),
    ],
)
def test_selects(filters: list[tuple[str, list[str]]], expected: str) -> None:
    assert chosen(*filters) == expected


@pytest.mark.parametrize(
    ("filters", "code", "message"),
    [
        ([("colour", ["red"])], "InvalidFilter", "The filter 'colour' is invalid"),
        ([("tag:", ["red"])], "InvalidFilter", "The filter 'tag:' is invalid"),
        ([("", ["red"])], "InvalidFilter", "The filter '' is invalid"),
        ([("id", [])], "InvalidParameterValue", "The filter 'id' has no values"),
        ([("id", ["x"] * 201)], "FilterLimitExceeded", "more than 200 values"),
    ],
)
def test_refuses(filters: list[tuple[str, list[str]]], code: str, message: str) -> None:
    with pytest.raises(AwsError, match=message) as caught:
        chosen(*filters)
    assert caught.value.code == code


def test_refuses_a_bad_filter_where_there_is_nothing_to_filter() -> None:
    nothing: list[Thing] = []
    with pytest.raises(AwsError):
        select(nothing, [{"Name": "colour", "Values": ["red"]}], FIELDS)


def test_an_answer_is_compared_member_by_member_through_its_lists() -> None:
    answer = {"Main": True, "Rules": [{"Port": 80, "To": [{"Id": "a"}, {"Id": "b"}]}, {"Port": 443, "To": []}, {}]}
    assert within(answer, "Main") == ["true"]
    assert within(answer, "Rules.Port") == ["80", "443"]
    assert within(answer, "Rules.To.Id") == ["a", "b"]
    assert within(answer, "Nothing.Id") == []


@given(st.text("ab*?\n.", max_size=10), st.text("ab\n.", max_size=10))
def test_wildcards_mean_what_they_mean_in_a_shell(value: str, text: str) -> None:
    assert bool(pattern(value)(text)) == fnmatch.fnmatchcase(text, value)


def test_a_hostile_value_takes_no_time() -> None:
    started = time.process_time()
    assert not pattern("*a" * 120 + "b")("a" * 250)
    assert time.process_time() - started < 1
