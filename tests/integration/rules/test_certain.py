"""What can only fail is refused when a rule is saved, at its place; what may do for some message is not."""

from __future__ import annotations

import time

import pytest

from tieline.integration.rules.compile.certain import refuse_failing
from tieline.integration.rules.compile.compile import compile_rule
from tieline.integration.rules.values.errors import RuleError
from tieline.integration.trial.trial import Accepted, Check, Refused, answer

FAILING = [
    "regex_match(payload.x, '(')",
    "regex_match(payload.x, 'a(?=b)')",
    "regex_replace(payload.x, '[', 'b')",
    "regex_extract(payload.x, 5)",
    "format_date('week', 'Z', '%Y', payload.t)",
    "format_date('second', 'zz', '%Y', payload.t)",
    "now_timestamp('year')",
    "now_rfc3339('x')",
    "unix_ts_to_rfc3339(payload.t, 'fortnight')",
    "rfc3339_to_unix_ts(payload.t, 'week')",
    "rfc3339_to_unix_ts('yesterday')",
    "date_to_unix_ts('week','%Y', payload.t)",
    "sprintf_s('~q', payload.x)",
    "sprintf_s('~s ~s', payload.x, payload.y, payload.z)",
    "sprintf_s('~s ~s ~s', payload.x, payload.y)",
    "sprintf('~', payload.x)",
    "jq('.a | ', payload)",
    "jq(5, payload)",
    "upper(5)",
    "'a' * payload.x",
    "payload.x - 'a'",
    "1 / 0",
    "payload.x / 0",
    "payload.x mod 0",
    "int('x')",
    "json_decode('{')",
    "substr(payload.x, 'a')",
    "hash('crc', payload.x)",
    "split(payload.x, 5)",
    "split(payload.x, ',', 'both')",
    "pad(payload.x, 'a')",
    "pad(payload.x, 5, 'middle')",
    "nth('a', payload.x)",
    "nth(0, payload.l)",
    "map_get(5, payload)",
    "subbits(payload.x, 1, 8, 'text')",
    "abs('a')",
    "-'a'",
    "timezone_to_offset_seconds('+99')",
    "bitand('a', payload.x)",
    "sqrt(-1)",
    "length('a')",
    "float(payload.x, 'a')",
    "tokens(payload.x, 5)",
    "round('a')",
    "join_to_string(5, payload.l)",
    "contains_topic('a', payload.t)",
    "find(payload.x, 'a', 'middle')",
    "trim(payload.x, 5)",
    "base64_decode('!')",
    "hexstr2bin('zz')",
]

FINE = [
    "regex_match(payload.x, payload.y)",
    "sprintf_s('~s ~s', payload.x)",
    "sprintf('~x', payload.a, payload.b)",
    "sprintf_s('~*s', payload.a, payload.b)",
    "payload.x * 2",
    "'a' + payload.x",
    "payload.x > 'a'",
    "payload.x = 5",
    "coalesce(payload.x, 'a')",
    "map_get('a', payload, 'z')",
    "date_to_unix_ts('second','%Y', payload.t)",
    "date_to_unix_ts('second','Z','%Y', payload.t)",
    "format_date('second','Z','%Y-%d', payload.t)",
    "join_to_string('-', payload.l)",
    "contains(5, payload.l)",
    "jq('.a | .b', payload)",
    "jq('# all\n.', payload)",
    "jq('def f: .a; f', payload)",
    "jq('', payload)",
    "float(payload.x, 2)",
    "concat('a', payload.b)",
    "replace(payload.x,'a','b')",
    "sublist(2, payload.l)",
    "sublist(1,2,payload.l)",
    "mod(payload.x, 3)",
    "kv_store_get('a', 1)",
    "topic(1)",
    "strlen('abc')",
    "case when payload.x then 1 else 2 end",
    "payload.x in ('a', 1)",
    "map_put('a', 1, payload)",
    "nth(2, payload.l)",
    "round(1.5)",
    "eq(payload.a, 'x')",
    "date_to_unix_ts('second', payload.f, payload.t)",
    "is_null(payload.x) = true",
    "getenv('A')",
    "null()",
]


def rule(expression: str) -> str:
    return f'SELECT payload.a as a, {expression} as r FROM "t"'


@pytest.mark.parametrize("expression", FAILING)
def test_what_fails_for_every_message_is_refused_at_its_place(expression: str) -> None:
    sql = rule(expression)
    found = answer(Check(sql))
    assert isinstance(found, Refused), found
    assert found.message.startswith("this fails for every message: ")
    assert sql.index(expression) <= found.offset < sql.index(" as r")
    assert isinstance(answer(Check(sql, strict=False)), Accepted)  # what was saved before stays


@pytest.mark.parametrize("expression", FINE)
def test_what_may_do_for_some_message_is_taken(expression: str) -> None:
    refuse_failing(rule(expression))
    compile_rule(rule(expression))


def test_a_place_inside_a_text_is_found_behind_doubled_quotes() -> None:
    sql = rule("regex_match(payload.x, 'it''s (')")
    with pytest.raises(RuleError) as refused:
        refuse_failing(sql)
    assert sql[refused.value.offset] == "("


def test_what_is_perhaps_never_done_is_taken() -> None:
    refuse_failing(rule("case when payload.x > 1 and 1 / 0 > 1 then 1 end"))
    with pytest.raises(RuleError):
        refuse_failing(rule("case when payload.x > 1 and regex_match(payload.x, '(') then 1 end"))


LONGEST = 65_000


def repeated(head: str, part: str, tail: str, most: int = 20_000) -> str:
    """A rule with as many numbered parts as it may have characters."""
    written, number = [head], 0
    while sum(map(len, written[-1:])) and number < most:
        one = part.replace("$", str(number))
        if len(head) + len(tail) + (number + 1) * (len(one) + 1) > LONGEST:
            break
        written.append(one)
        number += 1
    return "".join(written) + tail


LONG = {
    "when": repeated("SELECT case ", "when payload.a = $ then $ ", 'end as x FROM "t"'),
    "when of a subject": repeated("SELECT case payload.a ", "when $ then payload.b$ ", 'end as x FROM "t"'),
    "columns": repeated("SELECT ", "payload.a$ as b$, ", 'topic FROM "t"'),
    "nested columns": repeated("SELECT ", "payload.a$ as b.c$, ", 'topic FROM "t"'),
    "paths": repeated("SELECT ", "payload.a.b.c$, ", 'topic FROM "t"'),
    "aliases of aliases": repeated("SELECT payload.a as a, ", "concat(a) as a, ", 'topic FROM "t"', 2500),
    "aliases of an element": repeated("FOREACH payload.l AS r DO r as a, ", "concat(a) as a, ", 'topic FROM "t"', 2500),
    "bindings": repeated("FOREACH ", "payload.a$ as b$, ", 'payload.l FROM "t"'),
    "and": repeated('SELECT * FROM "t" WHERE ', "payload.a = $ and ", "true"),
    "or": repeated('SELECT * FROM "t" WHERE ', "upper(payload.a) = '$' or ", "true", 1000),
    "in": repeated('SELECT * FROM "t" WHERE payload.a in (', "$, ", "1)"),
    "in fields": repeated('SELECT * FROM "t" WHERE payload.a in (', "payload.b$, ", "1)"),
    "sum": repeated("SELECT ", "payload.a + ", '1 as x FROM "t"'),
    "arguments": repeated("SELECT concat(", "$, ", '1) as x FROM "t"'),
    "elements": repeated("SELECT [", "payload.a$, ", '1] as x FROM "t"'),
    "parentheses": "SELECT " + "(" * 20_000 + "1" + ")" * 20_000 + ' as x FROM "t"',
    "not": 'SELECT * FROM "t" WHERE ' + "not " * 10_000 + "true",
    "signs": "SELECT " + "- " * 20_000 + '1 as x FROM "t"',
    "calls": "SELECT " + "abs(" * 10_000 + "1" + ")" * 10_000 + ' as x FROM "t"',
    "arrays": "SELECT " + "[" * 20_000 + "]" * 20_000 + ' as x FROM "t"',
    "steps": "SELECT payload" + ".a" * 20_000 + ' as x FROM "t"',
    "indexes": "SELECT payload" + "[payload.a" * 5_000 + "]" * 5_000 + ' as x FROM "t"',
    "unknown names": repeated("SELECT ", "zz$, ", 'topic FROM "t"'),
    "topics": repeated("SELECT * FROM ", '"t/$", ', '"t"'),
    "a wrong topic": repeated("SELECT * FROM ", '"from a$", ', '"a#"'),
    "comments": "--\n" * 20_000 + 'SELECT * FROM "t"',
    "not closed": "SELECT '" + "''" * 30_000,
}


@pytest.mark.parametrize("name", LONG)
def test_the_longest_rule_works_or_is_refused_at_a_place(name: str) -> None:
    began = time.process_time()
    found = answer(Check(LONG[name]))
    assert time.process_time() - began < 8
    assert isinstance(found, Accepted) or (isinstance(found, Refused) and found.message), found
