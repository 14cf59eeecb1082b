"""Where an output has a value: aliases that are paths, places of arrays, what is missing, names that nothing gives."""

from __future__ import annotations

from typing import Any

import pytest

from tieline.integration.messages.message import Message
from tieline.integration.rules.compile.compile import compile_rule, rule_test
from tieline.integration.rules.values.errors import RuleError, RuleFailure

PAYLOAD = {"n": None, "e": "", "l": [None, 1], "m": {"k": None}, "rows": [{"n": "a"}, {"n": "b"}]}


def outputs(columns: str, payload: Any = None) -> Any:
    return rule_test(f'SELECT {columns} FROM "t"', {"topic": "t", "payload": PAYLOAD if payload is None else payload})


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("1 as a.b, 2 as a.c, a as d, a.b as e", {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 2}, "e": 1}),
        ("1 as a.b, 5 as a, a as c", {"a": 5, "c": 5}),
        ("5 as a, 1 as a.b, a as c", {"a": {"b": 1}, "c": {"b": 1}}),
        ("1 as a, 2 as a, a as b", {"a": 2, "b": 2}),
        ("[1,2,3] as a, 9 as a[-2]", {"a": [1, 9, 3]}),
        ("[1,2,3] as a, 9 as a[7], 8 as a[-7]", {"a": [1, 2, 3]}),
        ("[1] as a, 0 as a[0], 2 as a[-0]", {"a": [0, 1, 2]}),
        ("1 as l[1], 2 as l[-0], l as m, l[1] as n, l[2] as o", {"l": [1, 2], "m": [1, 2], "n": 1, "o": 2}),
        ("1 as a[2].b[3]", {"a": [{"b": [1]}]}),
        ("payload.rows as q, 7 as q[1].n, q as p", {"q": [{"n": 7}, {"n": "b"}], "p": [{"n": 7}, {"n": "b"}]}),
        ("payload.rows[2].n", {"payload": {"rows": [{"n": "b"}]}}),
        ("payload.rows, payload.rows[2].n", {"payload": {"rows": PAYLOAD["rows"]}}),
        ('1 as "a b".c', {"a b": {"c": 1}}),
        ("1 as " + ".".join("a" * 50), None),
    ],
)
def test_an_alias_is_a_place_in_the_output(columns: str, expected: Any) -> None:
    found = outputs(columns)
    assert expected is None or found == expected


def test_what_is_put_into_the_payload_leaves_the_message_as_it_is() -> None:
    """Rules share a decoded payload: none may change what the next one sees."""
    rule = compile_rule('SELECT payload, 9 as payload.rows[1].n, payload.rows as r FROM "t"')
    other = compile_rule('SELECT payload.rows as r FROM "t"')
    message = Message.sample({"topic": "t", "payload": PAYLOAD})
    first = rule.apply([message], [], True)[0][0]
    assert first["payload"]["rows"] == [{"n": 9}, {"n": "b"}]
    assert other.apply([message], [], True)[0][0] == {"r": PAYLOAD["rows"]}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("is_null(payload.n)", False),
        ("is_null(payload.q)", True),
        ("is_null_var(payload.n)", True),
        ("is_not_null(payload.n)", True),
        ("is_null(payload.m.k)", False),
        ("is_null(payload.m.z)", True),
        ("is_null(payload.l[1])", False),
        ("is_null(payload.l[0])", True),
        ("is_null(payload.l[9])", True),
        ("is_null(case when false then 1 end)", True),
        ("is_null(case when true then payload.n end)", False),
        ("is_null(map_get('n', payload))", False),
        ("is_null(map_get('q', payload))", True),
        ("is_null(null())", True),
        ("is_null(username)", True),
        ("is_null(username())", True),
        ("is_null(nobody)", True),
        ("concat([payload.n, payload.q, payload.l[1], payload.l[7]])", "nullundefinednullundefined"),
        ("join_to_string(payload.l)", "null, 1"),
        ("coalesce(payload.q, payload.n, 1)", None),
        ("coalesce(payload.q, payload.z, 1)", 1),
        ("str(payload.n)", "null"),
        ("str(payload.q)", "undefined"),
        ("map_get('q', payload)", None),
        ("kv_store_get('never seen')", None),
        ("[payload.q, payload.n]", [None, None]),
        ("coalesce([payload.q, payload.n], 1)", [None, None]),
        ("coalesce([[payload.q]], 1)", [[None]]),
        ("coalesce([[payload.q]])", [None]),
        ("str([payload.q, payload.n])", "[null,null]"),
        ("concat('a', [payload.q])", "a[null]"),
        ("join_to_string([payload.q, [payload.q]])", "undefined, [null]"),
        ("join_to_sql_values_string([payload.q, [payload.q]])", "NULL, '[null]'"),
        ("sprintf('~s ~p', payload.q, [payload.q])", "undefined [null]"),
        ("subbits('ab', 1, 6, 'bits')", b"`"),
    ],
)
def test_what_is_missing_is_told_from_null_by_those_that_ask(expression: str, expected: Any) -> None:
    assert outputs(f"{expression} as x") == {"x": expected}
    if "payload.n" in expression:
        through = expression.replace("payload.n", "n")
        assert outputs(f"payload.n as n, {through} as x")["x"] == expected


def test_null_and_missing_in_an_array() -> None:
    sql = 'FOREACH payload.l AS e DO str(e) as s, is_null(e.k) as x INCASE is_null_var(e) or is_null(e.k) FROM "t"'
    assert rule_test(sql, {"topic": "t", "payload": {"l": [None, {"k": None}, {"j": 1}]}}) == [
        {"s": "null", "x": True},
        {"s": '{"j":1}', "x": True},
    ]


def test_a_name_that_nothing_gives_is_null() -> None:
    assert outputs("temp, a.b as c") == {"temp": None, "c": None}
    assert rule_test('SELECT abs(-5) FROM "t" WHERE abs > 4', {"topic": "t"}) == {"abs": 5}


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ('SELECT topic FROM "t" WHERE temp > 20', "JSON is payload.temp"),
        ('SELECT topic FROM "t" WHERE 20 < temp', "JSON is payload.temp"),
        ('SELECT topic FROM "t" WHERE temp.x != 20', "JSON is payload.temp"),
        ('SELECT topic FROM "t" WHERE mode in (1, 2)', "JSON is payload.mode"),
        ("SELECT topic FROM \"t\" WHERE name =~ 'a/#'", "JSON is payload.name"),
        ('SELECT topic FROM "t" WHERE switched', "JSON is payload.switched"),
        ('FOREACH rows AS r DO r.n as n FROM "t"', "JSON is payload.rows"),
        ("SELECT topic FROM \"t\" WHERE topc = 'a'", "did you mean topic?"),
        ('SELECT topic FROM "t" WHERE clientid = "foo"', "a text stands in 'single quotes'"),
        ('SELECT clientId FROM "t"', "did you mean clientid?"),
        ("SELECT 1 as " + ".".join("a" * 51) + ' FROM "t"', "at most 50 deep"),
        ('SELECT other.upper(topic) as x FROM "t"', "no function other.upper()"),
    ],
)
def test_a_slip_is_refused(sql: str, said: str) -> None:
    with pytest.raises(RuleError) as caught:
        compile_rule(sql)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(r"'a\'", "a\\"), (r"'a\\b'", r"a\\b"), ("'it''s'", "it's"), (r"'it\'s'", "it's"), (r"'\n'", r"\n"), ("''", "")],
)
def test_a_backslash_is_a_character(text: str, expected: str) -> None:
    """A quote behind one is a quote of the text only where the rule is none otherwise, as for earlier versions."""
    assert outputs(f"{text} as x") == {"x": expected}


@pytest.mark.parametrize("wanted", ["payload.n[1..2]", "payload.q[1..2]", "payload.e[1..2]"])
def test_a_part_is_a_part_of_an_array(wanted: str) -> None:
    with pytest.raises(RuleFailure, match="a part of an array"):
        outputs(f"{wanted} as x")


def test_a_long_rule_works() -> None:
    many = 1000
    assert outputs("+".join(["'a'"] * many) + " as x") == {"x": "a" * many}
    case = " ".join(f"WHEN payload.e = 'x{n}' THEN {n}" for n in range(many)) + " WHEN payload.e = '' THEN 'last'"
    assert outputs(f"CASE {case} END as x") == {"x": "last"}
    short = "".join(f"when a=b then {n % 10} " for n in range(4000))
    assert outputs(f"case {short} else 7 end as x") == {"x": 7}
    assert len(outputs(", ".join(f"payload.c{n}" for n in range(many)))["payload"]) == many


@pytest.mark.parametrize("topic", ["$events/message_publish", "$events/message/publish"])
def test_every_message_is_an_event_too(topic: str) -> None:
    assert compile_rule(f'SELECT topic FROM "{topic}"').topics == ("#",)
    assert rule_test(f'SELECT topic FROM "{topic}"', {"topic": "a/b", "payload": "x"}) == {"topic": "a/b"}
    assert rule_test('SELECT topic FROM t, "x/y"', {"topic": "t"}) == {"topic": "t"}
