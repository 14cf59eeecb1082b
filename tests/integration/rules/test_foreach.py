"""What a rule works out once: a column, and in a FOREACH what does not name the element."""

from __future__ import annotations

import tracemalloc
from typing import Any

import orjson
import pytest

from tieline.integration.messages.message import Message
from tieline.integration.rules.compile.compile import compile_rule
from tieline.integration.rules.functions import system
from tieline.integration.rules.values.errors import RuleFailure


def test_a_column_is_worked_out_once_however_often_it_is_named() -> None:
    columns = ["concat(payload.a, payload.a) as a0"]
    columns += [f"concat(a{number}, a{number}) as a{number + 1}" for number in range(40)]
    sql = f'SELECT {", ".join([*columns, "uuid_v4() as u", "concat(u) as same"])} FROM "t"'
    output = compile_rule(sql).evaluate(Message("t", b'{"a": ""}'))[0]
    assert output["a40"] == ""
    assert output["u"] == output["same"]
    kept = "SELECT proc_dict_put('n', 1) as before, coalesce(before, 'none') as told FROM \"t\""
    system.forget()
    assert compile_rule(kept).evaluate(Message("t", b""))[0] == {"before": None, "told": "none"}
    assert compile_rule(kept).evaluate(Message("t", b""))[0] == {"before": 1, "told": 1}


def test_what_does_not_name_the_element_is_worked_out_once_for_all() -> None:
    """Ten thousand elements and a large payload took elements times payload: 3.7 GB for 316 KiB."""
    payload = orjson.dumps({"big": "x" * 200_000, "text": '{"a": {"b": 1}}', "l": [{"n": n} for n in range(10_000)]})
    rules = (
        'FOREACH payload.l FROM "t"',
        'FOREACH payload.l DO *, upper(payload.big) as u FROM "t"',
        'FOREACH payload.l AS r DO r.n as n, upper(payload.big) as u, concat(payload.big, u) as c, payload FROM "t"',
        "FOREACH payload.big AS b, payload.l AS r DO b, upper(b) as u, concat(u, u) as c, lower(c) as l, r.n as n "
        "INCASE length(split(payload.big, 'x')) = 0 and r.n >= 0 FROM \"t\"",
    )
    for sql in rules:
        rule = compile_rule(sql)
        tracemalloc.start()
        outputs = rule.evaluate(Message("t", payload))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(outputs) == 10_000
        assert peak < 40 << 20, sql


def test_only_what_is_needed_is_worked_out_and_what_differs_each_time_does() -> None:
    def made(sql: str, payload: dict[str, Any]) -> list[dict[str, Any]]:
        return compile_rule(sql).evaluate(Message("t", orjson.dumps(payload)))

    failing = 'FOREACH payload.l AS r DO int(payload.x) as x, r INCASE r > 1 FROM "t"'
    assert made(failing, {"l": [], "x": "no"}) == []
    assert made(failing, {"l": [1], "x": "no"}) == []
    with pytest.raises(RuleFailure, match="no number"):
        made(failing, {"l": [1, 2], "x": "no"})
    chosen = 'FOREACH payload.l AS r DO CASE WHEN r > 9 THEN int(payload.x) ELSE r END as x FROM "t"'
    assert made(chosen, {"l": [1, 2], "x": "no"}) == [{"x": 1}, {"x": 2}]
    ids = made('FOREACH payload.l DO uuid_v4() as id, random() as n FROM "t"', {"l": [1, 2, 3]})
    assert len({output["id"] for output in ids}) == len({output["n"] for output in ids}) == 3
    nested = (
        "FOREACH payload.l AS r DO json_decode(payload.t) as j, upper(j.a) as u, concat(j.a, r) as k, j.a as j.b, "
        "r as j.c, j.c as c INCASE j.a != '' FROM \"t\""
    )
    assert made(nested, {"l": [1, 2], "t": '{"a": "x"}'}) == [
        {"j": {"a": "x", "b": "x", "c": n}, "u": "X", "k": f"x{n}", "c": n} for n in (1, 2)
    ]
