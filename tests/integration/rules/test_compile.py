"""What rules make of messages: by examples, and by agreement with a slow evaluator on random rules and messages."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integration.rules import reference
from tieline.integration.messages.message import Message
from tieline.integration.rules.compile.compile import compile_rule, rule_test
from tieline.integration.rules.syntax import syntax
from tieline.integration.rules.syntax.parse import parse
from tieline.integration.rules.values.errors import NotMatched, RuleFailure

SENSORS = 'SELECT payload.device as device, payload.temp as temp, timestamp FROM "sensors/#" WHERE payload.temp > 20'


def result(selected: str, payload: Any = None, **context: Any) -> Any:
    """The value of one selected expression."""
    output = rule_test(f'SELECT {selected} as x FROM "t"', {"payload": {} if payload is None else payload, **context})
    assert isinstance(output, dict)
    return output["x"]


@pytest.mark.parametrize(
    ("payload", "matched"),
    [
        (b'{"device": "a", "temp": 20.5}', True),
        (b'{"device": "a", "temp": 21}', True),
        (b'{"device": "a", "temp": 20}', False),
        (b'{"device": "a"}', False),
        (b'{"device": "a", "temp": null}', False),
        (b'{"device": "a", "temp": "30"}', True),
        (b'{"device": "a", "temp": "20"}', False),
        (b'{"device": "a", "temp": true}', False),
        (b'{"device": "a", "temp": [30]}', False),
        (b"[]", False),
        (b"online", False),
        (b"\xff\xfe", False),
        (b"", False),
    ],
)
def test_the_condition_of_the_guide(payload: bytes, matched: bool) -> None:
    outputs = compile_rule(SENSORS).evaluate(Message("sensors/1", payload, 1, 1700000000000))
    expected = {"device": "a", "temp": orjson.loads(payload)["temp"], "timestamp": 1700000000000} if matched else None
    assert outputs == ([expected] if matched else [])


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("'a' + 'b'", "ab"),
        ("7 / 2", 3.5),
        ("7 div 2", 3),
        ("-7 div 2", -3),
        ("-7 mod 3", -1),
        ("mod(7, 3)", 1),
        ("- - 2", 2),
        ("payload.missing + 1", None),
        ("1 = 1.0", True),
        ("'a' != 'b'", True),
        ("'2' <> 1", True),
        ("'1.0' = 1", True),
        ("true = 'true'", True),
        ("'a' + 1 + 'b'", "a1b"),
        ("'x' + 0.0000001", "x0.0000001"),
        ("payload.missing = payload.missing", False),
        ("not (payload.missing = 1)", True),
        ("true and not false", True),
        ("1 and true", False),
        ("'b' in ('a', 'b')", True),
        ("3 not in (1, 2)", True),
        ("topic =~ 'a/+'", True),
        ("case when 1 > 2 then 'x' when true then 'y' else 'z' end", "y"),
        ("case payload.n when 1 then 'one' when 2 then 'two' end", "two"),
        ("case payload.n when 9 then 'nine' end", None),
        ("payload.list[1]", 10),
        ("payload.list[-1]", 40),
        ("payload.list[0]", None),
        ("payload.list[-0]", None),
        ("payload.inner[2]", 5),
        ("payload.list[9]", None),
        ("payload.list[payload.n]", 20),
        ("payload.list.3", 30),
        ("payload.list[2..3]", [20, 30]),
        ("payload.list[-2..-1]", [30, 40]),
        ("[1..3]", [1, 2, 3]),
        ("[1, 'a', true]", [1, "a", True]),
        ("payload.deep.a.b", 1),
        ("payload.'deep'.\"a\".b", 1),
        ("payload.text.inner", 5),
        ("qos", 1),
        ("clientid", "c"),
        ("payload", '{"n":2,"list":[10,20,30,40],"deep":{"a":{"b":1}},"text":"{\\"inner\\":5}","inner":"[4,5]"}'),
    ],
)
def test_expressions(expression: str, expected: Any) -> None:
    payload = {"n": 2, "list": [10, 20, 30, 40], "deep": {"a": {"b": 1}}, "text": '{"inner":5}', "inner": "[4,5]"}
    context = {"payload": payload, "qos": 1, "clientid": "c", "topic": "a/b"}
    actual = compile_rule(f'SELECT {expression} as x FROM "t"').evaluate(Message.sample(context))[0]["x"]
    assert (actual, type(actual)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("1 / 0", "division by zero"),
        ("'a' * 2", "a text * a number"),
        ("payload.l + 1", "an array + a number"),
        ("1.5 div 1", "whole numbers"),
        ("1e308 * 10", "too large"),
        ("sqrt(-1)", "sqrt(): "),
        ("abs('x')", "abs(): a number is needed, not a text"),
    ],
)
def test_what_has_no_value_fails_the_rule(expression: str, said: str) -> None:
    with pytest.raises(RuleFailure, match=r".*") as caught:
        result(expression, {"l": []})
    assert said in str(caught.value)


def test_a_payload_that_is_not_json() -> None:
    """It has no fields to compare, and none to select."""
    message = Message("t", b"online")
    assert compile_rule('SELECT topic FROM "t" WHERE payload.a = 1').evaluate(message) == []
    assert compile_rule('SELECT payload as p FROM "t"').evaluate(message) == [{"p": "online"}]
    with pytest.raises(RuleFailure, match="not JSON"):
        compile_rule('SELECT payload.a as a FROM "t"').evaluate(message)


def test_outputs() -> None:
    message = Message.sample({"payload": {"a": {"b": 1}, "l": [1, 2]}, "topic": "t", "clientid": "c"})

    def outputs(sql: str) -> Any:
        return compile_rule(sql).evaluate(message)

    assert outputs('SELECT payload.a.b FROM "t"') == [{"payload": {"a": {"b": 1}}}]
    assert outputs('SELECT payload.a.b as x.y, topic as x.z FROM "t"') == [{"x": {"y": 1, "z": "t"}}]
    assert outputs('SELECT payload.a as a, a.b as b, b + 1 as c FROM "t" WHERE c = 2') == [
        {"a": {"b": 1}, "b": 1, "c": 2}
    ]
    assert outputs('SELECT topic as payload, payload as p FROM "t"') == [{"payload": "t", "p": "t"}]
    assert outputs('SELECT abs(-1), 1 + 1 FROM "t"') == [{"abs": 1, "column_2": 2}]
    everything = outputs('SELECT *, 1 as qos FROM "t"')[0]
    assert (everything["clientid"], everything["qos"], everything["topic"]) == ("c", 1, "t")


def test_foreach() -> None:
    payload = {"sensors": [{"idx": 0, "v": "a"}, {"idx": 1, "v": "b"}, {"idx": 2, "v": "c"}], "site": "s"}
    context = {"payload": payload, "topic": "t"}

    def outputs(sql: str) -> Any:
        return rule_test(sql, context)

    chosen = 'FOREACH payload.sensors as s DO s.v as v, s.idx + 1 as n, payload.site as site INCASE s.idx >= 1 FROM "t"'
    assert outputs(chosen) == [{"v": "b", "n": 2, "site": "s"}, {"v": "c", "n": 3, "site": "s"}]
    assert [o["item"]["v"] for o in outputs('FOREACH payload.sensors FROM "t"')] == ["a", "b", "c"]
    assert outputs('FOREACH payload.site as site, payload.sensors as s DO site, s.v as v FROM "t" WHERE qos = 0')[
        0
    ] == {
        "site": "s",
        "v": "a",
    }
    for nothing in ('FOREACH payload.sensors FROM "t" WHERE qos = 1', 'FOREACH payload.missing FROM "t"'):
        with pytest.raises(NotMatched):
            outputs(nothing)


def test_the_test_of_a_rule_looks_at_the_topic() -> None:
    assert rule_test(SENSORS, {"topic": "sensors/1", "payload": '{"temp": 30}', "timestamp": 5})
    with pytest.raises(NotMatched, match="topics"):
        rule_test(SENSORS, {"topic": "elsewhere", "payload": '{"temp": 30}'})
    with pytest.raises(NotMatched, match="condition"):
        rule_test(SENSORS, {"topic": "sensors/1", "payload": '{"temp": 10}'})


# Random rules and messages

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-50, 50),
    st.sampled_from([0.5, -1.5, 2.0, 20.0, 1e-7, -0.0, 2**53 + 1, 2**64]),
    st.sampled_from(["", "a", "20", "2.5", " 1", "1e5", "0x10", "١٢", "true", "null", "9007199254740993"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES).map(lambda value: json.dumps(value).encode())
PAYLOADS = st.one_of(
    OBJECTS,
    st.sampled_from([b"x", b"[1, 2]", b"3"]),
)
LITERALS = st.one_of(
    st.integers(0, 50).map(str), st.sampled_from(["0.5", "20.0", "'a'", "'20'", "''", "true", "false", "qos", "topic"])
)
PATHS = st.sampled_from(
    [
        "payload.a",
        "payload.b",
        "payload.c",
        "payload.a.b",
        "payload.b.c.a",
        "payload.a[1]",
        "payload.b[-1]",
        "payload.c[1..2]",
    ]
)


def combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from(["+", "-", "*", "/", "div", "mod", "=", "!=", "<", ">", "<=", ">=", "and", "or"])
    return st.one_of(
        st.tuples(inner, signs, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda e: f"(not {e})"),
        inner.map(lambda e: f"(- {e})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} in ({t[1]}, {t[2]}))"),
        st.tuples(inner, inner, inner).map(lambda t: f"(case when {t[0]} then {t[1]} else {t[2]} end)"),
        st.tuples(inner, inner, inner).map(lambda t: f"(case {t[0]} when {t[1]} then {t[2]} end)"),
        st.tuples(inner, inner).map(lambda t: f"[{t[0]}, {t[1]}]"),
    )


EXPRESSIONS = st.recursive(st.one_of(LITERALS, PATHS), combined, max_leaves=10)


@settings(max_examples=120, deadline=None)
@given(EXPRESSIONS, PAYLOADS)
def test_a_condition_means_what_the_slow_evaluator_says(expression: str, payload: bytes) -> None:
    sql = f'SELECT topic as answer FROM "t" WHERE ({expression}) = true'
    tree, message = parse(sql), Message("t", payload, 1, 1700000000000)
    assert isinstance(tree, syntax.Select)
    assert tree.where is not None
    try:
        expected = [{"answer": "t"}] if reference.evaluate(tree.where, message) else []
    except reference.Failure:
        with pytest.raises(RuleFailure):
            compile_rule(sql).evaluate(message)
    else:
        assert compile_rule(sql).evaluate(message) == expected


@settings(max_examples=120, deadline=None)
@given(EXPRESSIONS, OBJECTS)
def test_a_selection_is_what_the_slow_evaluator_says(expression: str, payload: bytes) -> None:
    sql = f'SELECT {expression} as answer FROM "t"'
    tree, message = parse(sql), Message("t", payload, 1, 1700000000000)
    assert isinstance(tree, syntax.Select)
    column = tree.columns[0]
    assert isinstance(column, syntax.Column)
    try:
        expected = reference.evaluate(column.of, message)
    except reference.Failure:
        with pytest.raises(RuleFailure):
            compile_rule(sql).evaluate(message)
    else:
        actual = compile_rule(sql).evaluate(message)[0]["answer"]
        assert (actual, type(actual)) == (expected, type(expected))
