"""What a rule may make of one message is bounded, whatever its functions and its payload are."""

from __future__ import annotations

import resource
import tracemalloc
from typing import Any

import orjson
import pytest

from tieline.integration.messages.message import Message
from tieline.integration.rules.compile.compile import Failures, compile_rule
from tieline.integration.rules.functions import LIBRARY, encoding, system
from tieline.integration.rules.values import bounds
from tieline.integration.rules.values.errors import RuleError, RuleFailure

PEAK = 200 << 20  # bytes; two bytes and more for a character, and a copy on the way


def select(*columns: str) -> str:
    return f'SELECT {", ".join(columns)} FROM "t"'


def chain(first: str, each: str, times: int) -> str:
    columns = [f"{first} as a0", *(f"{each.replace('$', f'a{n}')} as a{n + 1}" for n in range(times))]
    return select(*columns)


def made(sql: str, payload: Any) -> list[dict[str, Any]]:
    """The outputs; what is made on the way stays below a bound, also where the rule fails."""
    message = Message("t", payload if isinstance(payload, bytes) else orjson.dumps(payload))
    rule = compile_rule(sql)
    tracemalloc.start()
    try:
        return rule.evaluate(message)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < PEAK, f"{peak >> 20} MiB"


BOMB = encoding.gzip("x" * (10 << 20)).hex()
GROWING: list[tuple[str, Any]] = [
    (chain("payload.a", "concat($, $)", 27), {"a": "x" * 64}),
    (chain("payload.a", "$ + $", 27), {"a": "x" * 64}),
    (chain("payload.a", "join_to_string($, [$, $, $])", 20), {"a": "x" * 64}),
    (chain("payload.a", "sprintf('~s~s', $, $)", 27), {"a": "x" * 64}),
    (chain("payload.a", "replace($, 'x', 'xx')", 27), {"a": "x" * 64}),
    (chain("payload.a", "regex_replace($, '.+', '&&')", 27), {"a": "x" * 64}),
    (chain("payload.a", "pad($, 4000000, 'leading', 'abcd')", 10), {"a": "x" * 64}),
    (chain("payload", "[$, $]", 40), {"a": "x" * 64}),
    (select(*[f"gunzip(hexstr2bin(payload.z)) as z{n}" for n in range(50)]), {"z": BOMB}),
    (select("replace(payload.a, 'x', payload.b) as r"), {"a": "x" * 500_000, "b": "y" * 4000}),
    (select("sprintf('~1000000000s', 'x') as s"), {}),
    (select(f"sprintf('{'~9999n' * 10_000}') as s"), {}),
    (select("concat(" + ", ".join(["payload.a"] * 5000) + ") as c"), {"a": "x" * 100_000}),
    (select(*[f"lower(payload.a) as l{n}" for n in range(2000)]), {"a": "X" * 200_000}),
    (select(*[f"split(payload.a, 'x', 'notrim') as l{n}" for n in range(200)]), {"a": "xy" * 500_000}),
    ('FOREACH payload.l AS r DO split(payload.a, r) as s FROM "t"', {"a": "x" * 100_000, "l": ["y"] * 5000}),
    ('FOREACH payload.l AS r DO concat(r, payload.a) as s FROM "t"', {"a": "x" * 100_000, "l": ["y"] * 5000}),
    ('FOREACH payload.l AS r DO [r, payload.a, payload.a] as s FROM "t"', {"a": "x" * 100_000, "l": ["y"] * 5000}),
    ('FOREACH payload FROM "t"', [0] * 200_000),
]


@pytest.mark.parametrize(("sql", "payload"), GROWING, ids=range(len(GROWING)))
def test_what_grows_without_end_fails_its_message_within_bounds(sql: str, payload: Any) -> None:
    with pytest.raises(RuleFailure, match=r"more than|at most"):
        made(sql, payload)


def test_what_stands_in_an_output_again_and_again_is_bounded() -> None:
    """Each column is the same text in memory, and another one on its way to a database."""
    sql = select("payload.a as a", *[f"a as b{n}" for n in range(500)])
    assert len(made(sql, {"a": "x" * 1000})[0]) == 501
    with pytest.raises(RuleFailure, match="more than"):
        made(sql, {"a": "x" * 1_000_000})


def test_a_large_message_is_as_good_as_a_small_one() -> None:
    """It takes the careful way, and comes in its place among the others."""
    sql = 'FOREACH payload.l AS r DO upper(r.a) as a, r.b as b, [r.b] as c, concat(r.a, "-", payload.n) as d FROM "t"'
    rule = compile_rule(sql.replace('"-"', "'-'"))
    payloads = [{"n": n, "l": [{"a": "x" * size, "b": n}]} for n, size in enumerate((1, 15_000_000, 2, 14_000_000, 3))]
    failures: Failures = []
    items = rule.apply([Message("t", orjson.dumps(one)) for one in payloads], failures, False)
    assert not failures
    assert [output["b"] for output, _ in items] == [output["c"][0] for output, _ in items] == [0, 1, 2, 3, 4]
    assert all(output["d"] == f"{output['a'].lower()}-{output['b']}" for output, _ in items)


def test_one_that_makes_too_much_leaves_the_others_alone() -> None:
    rule = compile_rule(select("replace(payload.a, 'x', payload.b) as r"))
    payloads = [{"a": "x", "b": "1"}, {"a": "x" * 100_000, "b": "y" * 1000}, {"a": "xx", "b": "2"}]
    failures: Failures = []
    items = rule.apply([Message("t", orjson.dumps(one)) for one in payloads], failures, False)
    assert [output["r"] for output, _ in items] == ["1", "22"]
    assert [str(error)[:18] for _, error in failures] == ["it makes a value o"]


def test_what_rules_keep_is_bounded() -> None:
    store = system.Store()
    for number in range(100):
        store.put(str(number), "x" * (1 << 20))
    kept = [number for number in range(100) if store.get(str(number), "") != ""]
    assert kept == list(range(100 - len(kept), 100))
    assert len(kept) == (bounds.MAX_KEPT - 1000) >> 20
    with pytest.raises(RuleFailure, match="more than"):
        store.put("large", ["x" * (1 << 20)] * 20)
    rule = compile_rule(select("kv_store_put('a', [kv_store_get('a', 'x'), kv_store_get('a', 'x')]) as a"))
    failures: Failures = []
    system.forget()
    rule.apply([Message("t", b"")] * 25, failures, False)
    assert failures
    system.forget()


def test_ranges_are_bounded_when_the_rule_is_saved() -> None:
    compile_rule(select(*[f"[1..9999] as r{n}" for n in range(10)]))
    with pytest.raises(RuleError, match="at most 100000 elements together"):
        compile_rule(select(*[f"[1..9999] as r{n}" for n in range(11)]))


LARGE = ["x", "x" * 300_000, "ab" * 150_000, ["x" * 1000] * 300, {str(n): "x" * 100 for n in range(3000)}, 12345]


@pytest.mark.parametrize("name", sorted(set(LIBRARY) - {"jq"}))
def test_no_function_makes_much_of_little_without_counting_it(name: str) -> None:
    """Whatever it is given: its result is some times as large as that, or it was taken from what may be made."""
    known = LIBRARY[name]
    for first in LARGE:
        for rest in ("x", "a", 9999, first):
            count = max(known.least + bool(known.field), 1 if known.most != 0 else 0)
            arguments = [first, *[rest] * (count - 1)][:count]
            bounds.left[0] = bounds.MAX_MADE
            try:
                result = known.run(*arguments)
            except Exception:
                continue
            given = sum(bounds.weight(one) for one in arguments) + 1000
            counted = bounds.MAX_MADE - bounds.left[0]
            factor = 8 if isinstance(result, (str, bytes)) else 1 + bounds.ELEMENT
            assert bounds.weight(result, 1 << 40) <= factor * given + counted, f"{name} of {type(first)}, {rest!r:.20}"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 << 20
