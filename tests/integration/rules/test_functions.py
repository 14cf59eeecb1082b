"""Every function's own example is true, its errors are told, and the reference page is up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tieline.integration.messages.message import Message
from tieline.integration.rules.compile.compile import compile_rule
from tieline.integration.rules.functions import LIBRARY, encoding, reference
from tieline.integration.rules.registry import Example
from tieline.integration.rules.values import bounds
from tieline.integration.rules.values.errors import RuleFailure

DOCS = Path(__file__).parents[3] / "docs" / "functions.md"
EXAMPLES = [(known.name, example) for known in LIBRARY.values() for example in known.examples]


def value(expression: str) -> Any:
    return compile_rule(f'SELECT {expression} as x FROM "t"').evaluate(Message("t", b"{}"))[0]["x"]


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[f"{name}-{example.call}" for name, example in EXAMPLES])
def test_each_example_is_true(name: str, example: Example) -> None:
    assert name in example.call
    actual = value(example.call)
    if example.result is not None:
        expected = value(example.result)
        assert (actual, type(actual)) == (expected, type(expected))


def test_each_function_has_a_sentence_and_an_example() -> None:
    for known in LIBRARY.values():
        assert known.doc.endswith("."), known.name
        assert known.examples, known.name


def test_the_page_is_up_to_date() -> None:
    assert DOCS.read_text() == reference.page()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("upper(1)", "upper(): a text is needed, not a number"),
        ("upper(payload.missing)", "upper(): a text is needed, not NULL"),
        ("nth(0, [1])", "nth(): places count from 1"),
        ("regex_match('a', '(')", "regex_match(): this ( is not closed"),
        ("json_decode('{')", "json_decode(): this is no JSON"),
        ("format_date('week', 'Z', '%Y', 1)", "format_date(): a unit is one of"),
        ("format_date('second', '+99:00', '%Y', 1)", "format_date(): a time offset"),
        ("format_date('second', 'Z', '%Y', 1e18)", "format_date(): a time between"),
        ("rfc3339_to_unix_ts('2022-04-25T16:11:16')", "has no time offset"),
        ("date_to_unix_ts('second', '%Y-%m', '2022-13')", "there is no such time"),
        ("date_to_unix_ts('second', '%Y-%m', 'x')", "does not have the format"),
        ("pad('a', 100000000)", "pad(): it makes a value of 99999999 bytes"),
        ("bitsl(1, 100000000)", "bitsl(): a whole number of more than"),
        ("gunzip('x')", "gunzip(): the end of these bytes is missing"),
        ("hash('crc', 'a')", "hash(): 'crc' is none of"),
        ("sprintf('~s')", "no value is left for ~s"),
        ("sprintf('~s', 1, 2)", "1 more values than"),
        ("int('x')", "int(): the text 'x' is no number"),
        ("power(10, 1000)", "power(): "),
    ],
)
def test_what_a_function_cannot_use(call: str, said: str) -> None:
    with pytest.raises(RuleFailure) as caught:
        value(call)
    assert said in str(caught.value)


def test_decompression_is_bounded() -> None:
    with pytest.raises(RuleFailure, match="hold more than"):
        encoding.unzip(encoding.zip_(b"x" * (bounds.MAX_VALUE + 1)))


ARGUMENTS = st.one_of(
    st.sampled_from(["1", "-1", "0", "2.5", "'a'", "''", "'%Y'", "'second'", "true", "[1, 2]", "payload.missing"]),
    st.sampled_from(["map_new()", "'Z'", "'leading'", "gzip('a')", "123456789012", "'(a'", "[]", "'1'"]),
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(LIBRARY)), st.lists(ARGUMENTS, max_size=6))
def test_no_argument_breaks_a_function(name: str, arguments: list[str]) -> None:
    """A value, or a RuleFailure that names the function: nothing else, and nothing that takes long."""
    if LIBRARY[name].takes(len(arguments)):
        try:
            value(f"{name}({', '.join(arguments)})")
        except RuleFailure as error:
            assert str(error).startswith(f"{name}(): ")
