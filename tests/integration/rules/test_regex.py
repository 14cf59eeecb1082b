"""Regular expressions of rules: PCRE's spellings, in a time that is linear in the text."""

from __future__ import annotations

import contextlib
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.integration.rules.compile.compile import rule_test
from tieline.integration.rules.functions.text.expressions import translate
from tieline.integration.rules.functions.text.regex import expression, regex_extract, regex_match, regex_replace
from tieline.integration.rules.values.errors import RuleFailure, Unfit

SECONDS = 2.0  # on a busy machine; what had no bound took minutes, and doubled with each character

ENDLESS = [
    (r"^(a+)+$", "a" * 31 + "!"),
    (r"^(a+)+$", "a" * 100_000 + "!"),
    (r"\s+$", " " * 60_000 + "x"),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 5_000),
    (r"(a|aa)+$", "a" * 5_000 + "b"),
    (r"(.*)*x", "y" * 20_000),
    (r"(x?){200}x{200}", "x" * 20_000),
    (r"(\w+\s?)*\d$", "word " * 10_000),
]


@pytest.mark.parametrize(("pattern", "text"), ENDLESS)
def test_no_expression_takes_longer_than_its_text(pattern: str, text: str) -> None:
    began = time.process_time()
    regex_match(text, pattern)
    regex_extract(text, pattern)
    regex_replace(text, pattern, "-")
    assert time.process_time() - began < SECONDS


def test_a_replacement_that_looks_again_and_again_at_the_rest_is_ended() -> None:
    began = time.process_time()
    with pytest.raises(RuleFailure, match="took longer than 1 s"):
        regex_replace("a" * 1_000_000, "a(?:.*b)?", "c")
    assert time.process_time() - began < 2 * SECONDS


def test_an_expression_of_many_steps_takes_no_long_text() -> None:
    began = time.process_time()
    with pytest.raises(RuleFailure, match="too long for its expression"):
        regex_extract("a" * 1_000_000, "((a?){30}){30}b")
    assert time.process_time() - began < SECONDS


MATCHES = [
    (r"[[:digit:]]+", "a1", True),
    (r"^[[:alpha:]]+$", "abc", True),
    (r"[[:^space:]]", " ", False),
    (r"\h", "a\u00a0b", True),
    (r"^\H+$", "a b", False),
    (r"^[\h\d]+$", "1 \t2", True),
    (r"^[\H]+$", "a\nb", True),
    (r"^\s$", "\v", True),
    (r"^\S$", "\v", False),
    (r"^\v$", "\f", True),
    (r"^a\Rb$", "a\r\nb", True),
    (r"\Aabc\z", "abc\n", False),
    (r"\Aabc\Z", "abc\n", True),
    (r"^abc$", "abc\n", True),
    (r"^abc$", "abc\n\n", False),
    (r"a\$", "a$\n", True),
    (r"\Qa.b\E+", "a.bbb", True),
    (r"\Qa.b", "axb", False),
    (r"[\Q^]\E]", "]", True),
    (r"(?<n>a)(?'m'b)", "ab", True),
    (r"(?x) a  b # the end", "ab", True),
    (r"(?x: a b ) c", "ab c", True),
    (r"(?i-s)A(?#a remark)b", "aB", True),
    (r"(?i:a)b", "AB", False),
    (r"\x41\x{42}\e\cA\o{103}\060", "AB\x1b\x01C0", True),
    (r"[\b]", "\b", True),
    (r"[]a]", "]", True),
    (r"[^]a]", "]", False),
    (r"[[a]", "[", True),
    (r"a{,2}", "a{,2}", True),
    (r"\p{Greek}", "\u03b1", True),
    (r"\d", "\u0663", False),
]


@pytest.mark.parametrize(("pattern", "text", "found"), MATCHES)
def test_what_pcre_means(pattern: str, text: str, found: bool) -> None:
    assert regex_match(text, pattern) is found


REFUSED = [
    ("foo(?=bar)", 3, "two conditions"),
    ("(?<!a)b", 0, "two conditions"),
    (r"(a)\1", 3, "regex_extract"),
    (r"(?<n>a)\k<n>", 7, "regex_extract"),
    ("ba++", 2, "write +,"),
    ("ba{1,2}+", 2, "write {1,2},"),
    ("(?>a)", 0, "write (?:"),
    ("a(?R)?", 1, "jq()"),
    ("(?|(a)|(b))", 0, "number them apart"),
    ("(a)?(?(1)b)", 4, "CASE"),
    (r"a\Kb", 1, r"as \1"),
    ("(*COMMIT)a", 0, "leave them out"),
    ("a{1001}", 1, "at most 1000"),
    ("x(a", 1, "not closed"),
    ("x[a", 1, "not closed"),
    ("xa)", 2, "closes nothing"),
    ("a\\", 1, "ends with"),
    (r"a\y", 1, "means nothing"),
    ("*a", 0, "no argument for repetition"),
    ("a" * 5000, 0, "at most 4096 characters"),
    ("([[:alpha:]]\\pL?){300}", 0, "too large"),
]


@pytest.mark.parametrize(("pattern", "place", "advice"), REFUSED)
def test_what_has_no_linear_way_is_refused_with_its_place_and_what_to_write(
    pattern: str, place: int, advice: str
) -> None:
    with pytest.raises(Unfit) as refused:
        regex_match("x", pattern)
    assert (refused.value.offset, advice in str(refused.value)) == (place, True), refused.value


def _rule(call: str, **payload: Any) -> Any:
    output = rule_test(f'SELECT {call} as r FROM "t"', {"payload": json.dumps(payload)})
    assert isinstance(output, dict)
    return output["r"]


@pytest.mark.parametrize(
    ("text", "pattern", "new", "made"),
    [
        ("a.b", r"\.", r"\\&", r"a\.b"),
        ("a.b", r"\.", r"\&", "a&b"),
        ("abc", "b", r"\0", "a0c"),
        ("abc", "(b)", r"<\g1\g{1}\2>", "a<bb>c"),
        ("aéb", "x*", "-", "-a-é-b-"),
        ("a\n", "$", "!", "a!\n!"),
        ("abcdefghijklm", "(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)", r"\12", "lm"),
    ],
)
def test_replacements_are_read_as_erlang_reads_them(text: str, pattern: str, new: str, made: str) -> None:
    assert _rule("regex_replace(payload.s, payload.x, payload.y)", s=text, x=pattern, y=new) == made


def test_a_group_that_took_no_part_is_empty_and_left_out_at_the_end() -> None:
    assert regex_extract("ab", "(x)?(a)(y)?") == ["", "a"]


def test_a_replacement_is_bounded() -> None:
    with pytest.raises(RuleFailure, match="more than"):
        regex_replace("a" * 100_000, "a", "b" * 100_000)


@given(st.text(st.sampled_from("ab\\^$.|?*+()[]{}-,1QE:<>=!#xd \n"), max_size=12), st.text("ab1 \n", max_size=8))
def test_any_text_is_an_expression_or_refused(pattern: str, text: str) -> None:
    """And where Python's own engine takes it and means the same, the answer is the same."""
    try:
        found = regex_match(text, pattern)
    except Unfit as refused:
        assert 0 <= refused.offset <= len(pattern)
        return
    if any(part in pattern for part in ("\\", "[", "{", "(?", "#")):
        return
    with contextlib.suppress(re.error):
        assert found is bool(re.search(pattern, text))


def test_one_expression_is_compiled_once() -> None:
    assert expression("a+", False) is expression("a+", False)
    assert translate(r"\h$").before_newline
