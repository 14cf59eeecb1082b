"""The table of kinds in docs/rules.md: each operator over each pair of kinds, wherever a rule can compare."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from tieline.integration.messages.message import Message
from tieline.integration.rules.compile.compile import compile_rule
from tieline.integration.rules.values import comparison
from tieline.integration.rules.values.errors import RuleFailure

SIGNS = ("=", "!=", "<>", "<", ">", "<=", ">=")
ORDERED = {
    "less": {"!=", "<>", "<", "<="},
    "same": {"=", "<=", ">="},
    "greater": {"!=", "<>", ">", ">="},
    "differ": {"!=", "<>"},
    "null": set[str](),
}
TURNED = {"less": "greater", "greater": "less"}
NOT_NULL: tuple[Any, ...] = (1, "a", "null", "", True, False, [], {})
#: Two values and how the first stands to the second; `fails` where they do not compare.
PAIRS: list[tuple[Any, Any, str]] = [
    (1, 1.0, "same"),
    (-0.0, 0, "same"),
    (2**53 + 1, 2**53, "greater"),
    (2**53 + 1, float(2**53), "greater"),
    (2**64, 2**64 + 1, "less"),
    (10**400, 1e300, "greater"),
    (1e-7, 0, "greater"),
    (25.5, "25.5", "same"),
    (7, "007", "same"),
    (7, "+7.00", "same"),
    (7, "1.0e1", "less"),
    (1.5, "1,5", "same"),
    (9007199254740993, "9007199254740993", "same"),
    (9007199254740992, "9007199254740993", "less"),
    (2**64, "18446744073709551616", "same"),
    *(
        (1, text, "fails")
        for text in ("", "hot", " 1", "1 ", "1\n", "1e5", "0x10", "1_0", "١٢", "nan", "Infinity", "1.")
    ),
    (1, "true", "fails"),
    (1, "1.0e400", "fails"),
    (1, "9" * 5000, "fails"),
    (1, True, "differ"),
    (0, False, "differ"),
    (1, [], "differ"),
    (1, [1], "differ"),
    (1, {}, "differ"),
    ("a", "B", "greater"),
    ("1", "1.0", "less"),
    ("10", "9", "less"),
    ("é", "z", "greater"),
    ("true", True, "same"),
    ("false", False, "same"),
    ("TRUE", True, "less"),
    ("", False, "less"),
    ("1", True, "less"),
    ("[]", [], "differ"),
    ("{}", {}, "differ"),
    (True, False, "greater"),
    (True, True, "same"),
    (True, [True], "differ"),
    (False, {}, "differ"),
    ([1], [2], "less"),
    ([1], [1.0], "same"),
    ([1], [1, 0], "less"),
    ([], [1], "less"),
    ([2], [1, 9], "greater"),
    (["1"], [1], "greater"),
    ([True], [1], "greater"),
    ([None], [False], "greater"),
    ([None], [None], "same"),
    ([{}], [[]], "less"),
    ([], {}, "differ"),
    ({"a": 1}, {"a": 1.0}, "same"),
    ({"a": 2}, {"a": 1}, "greater"),
    ({"b": 0}, {"a": 1}, "greater"),
    ({"a": 9}, {"a": 1, "b": 1}, "less"),
    ({"b": 1, "a": 2}, {"a": 2, "b": 1}, "same"),
    ({"a": None}, {"a": None}, "same"),
    *((None, other, "null") for other in NOT_NULL),
    (None, None, "null"),
]
BOTH_WAYS = [*PAIRS, *((right, left, TURNED.get(stands, stands)) for left, right, stands in PAIRS)]
#: Rules that match, or have an output of 1, exactly where the comparison is true.
PLACES = {
    "where": 'SELECT 1 as r FROM "t" WHERE payload.in.a {} payload.in.b',
    "not": 'SELECT 1 as r FROM "t" WHERE not (not (payload.in.a {} payload.in.b))',
    "case": 'SELECT CASE WHEN payload.in.a {} payload.in.b THEN 1 END as r FROM "t"',
    "column": 'SELECT payload.in.a {} payload.in.b as r FROM "t"',
    "alias": 'SELECT payload.in.a as x, x {} payload.in.b as r FROM "t"',
    "incase": 'FOREACH payload.list AS i DO 1 as r INCASE i.a {} i.b FROM "t"',
    "of a text": 'SELECT payload.text.a {} payload.text.b as r FROM "t"',
}
RULES = {
    (place, sign): compile_rule(sql.format(sign)) for (place, sql), sign in itertools.product(PLACES.items(), SIGNS)
}


def asked(place: str, sign: str, left: Any, right: Any) -> bool:
    pair = {"a": left, "b": right}
    payload = json.dumps({"in": pair, "list": [pair], "text": json.dumps(pair)}).encode()
    outputs = RULES[place, sign].evaluate(Message("t", payload))
    return bool(outputs) and outputs[0]["r"] in (1, True)


@pytest.mark.parametrize("place", PLACES)
def test_every_operator_over_every_pair_of_kinds(place: str) -> None:
    for (left, right, stands), sign in itertools.product(BOTH_WAYS, SIGNS):
        if stands == "fails":
            with pytest.raises(RuleFailure, match=r"is no number|too large|digits"):
                asked(place, sign, left, right)
        else:
            assert asked(place, sign, left, right) is (sign in ORDERED[stands]), (left, sign, right)


def test_a_constant_compares_as_a_field_does() -> None:
    """A constant is compiled into the rule, on a way of its own."""
    for (left, right, stands), sign in itertools.product(BOTH_WAYS, SIGNS):
        written = json.dumps(right) if not isinstance(right, str) else f"'{right}'"
        if isinstance(right, (list, dict)) or right is None or stands == "fails" or written.startswith("-"):
            continue
        rule = compile_rule(f'SELECT payload.a {sign} {written} as r FROM "t"')
        found = rule.evaluate(Message("t", json.dumps({"a": left}).encode()))[0]["r"]
        assert found is (sign in ORDERED[stands]), (left, sign, right)


EXACT = [
    (1, 1, True), (1, 1.0, False), (1, "1", False), (True, "true", False), (True, 1, False), (2**64, 2**64, True),
    ("a", "a", True), ([1, "a"], [1, "a"], True), ([1], [1.0], False), ({"a": [None]}, {"a": [None]}, True),
    ({"a": 1}, {"a": True}, False), (None, None, False), (None, "null", False), ("", "", True), (0.5, 0.5, True),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right", "expected"), EXACT)
def test_in_and_case_ask_for_exactly_the_same(left: Any, right: Any, expected: bool) -> None:
    message = Message("t", json.dumps({"a": left, "b": right}).encode())

    def value(expression: str) -> Any:
        return compile_rule(f'SELECT {expression} as r FROM "t"').evaluate(message)[0]["r"]

    assert value("payload.a in ('other', payload.b)") is expected
    assert value("payload.a not in (payload.b, 'other')") is not expected
    assert value("CASE payload.a WHEN payload.b THEN 1 ELSE 2 END") == (1 if expected else 2)
    assert value("contains(payload.a, [payload.b])") is (expected or left is right is None)


@pytest.mark.parametrize("value", [1, 1.0, True, "1", 0.5, "a", 2**64, None, [], {}, -0.0])
def test_a_list_of_constants_is_asked_as_one_of_fields_is(value: Any) -> None:
    """It is compiled into the rule, on a way of its own."""
    message = Message("t", json.dumps({"a": value, "b": [1, 0.5, "a", False, 2**64, 0.0]}).encode())
    fields = ", ".join(f"payload.b[{n}]" for n in range(1, 7))
    lists = ("1, 0.5, 'a', false, 18446744073709551616, 0.0", fields)
    first, second = (compile_rule(f'SELECT payload.a in ({each}) as r FROM "t"').evaluate(message) for each in lists)
    assert first == second == [{"r": value in (0.5, "a", 2**64, -0.0) or (value == 1 and type(value) is int)}]


def test_bytes_compare_as_the_texts_that_they_are() -> None:
    assert comparison.equal("é", "é".encode())
    assert comparison.less(b"\x01", "a")
    with pytest.raises(RuleFailure, match="no number"):
        comparison.greater(b"\xff\xfe", 20)
    assert comparison.exactly(b"a", "a")


@pytest.mark.parametrize("left", [5, 1.5, [], {}])
def test_a_topic_is_a_text(left: Any) -> None:
    rule = compile_rule("SELECT payload.a =~ 't/+' as r FROM \"t\"")
    with pytest.raises(RuleFailure, match="compares a topic with a filter"):
        rule.evaluate(Message("t", json.dumps({"a": left}).encode()))
    assert rule.evaluate(Message("t", b"{}")) == [{"r": False}]
    assert rule.evaluate(Message("t", b'{"a": "t/1"}')) == [{"r": True}]
