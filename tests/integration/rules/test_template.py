"""Templates: fields become parameters of the statement and never part of its text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tieline.integration.config import shapes as config
from tieline.integration.config.definition import define
from tieline.integration.rules.compile.template import WHOLE, Statement, lookup, sql_template, text_template
from tieline.integration.rules.values.errors import TemplateError


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (
            "insert into t(a, B) values (${x}, ${y.z});",
            Statement("insert into t(a, B) values ($1, $2);", (("x",), ("y", "z"))),
        ),
        (
            'INSERT INTO s."T"("A b") VALUES (\'${x}\')',
            Statement('INSERT INTO s."T"("A b") VALUES ($1)', (("x",),)),
        ),
        (
            "insert into t(a) values (${x}::int)",
            Statement("insert into t(a) values ($1::int)", (("x",),)),
        ),
        (
            "insert into t(a, b) values (${x}, 1)",
            Statement("insert into t(a, b) values ($1, 1)", (("x",),)),
        ),
        (
            "insert into t(a) values (${x}) on conflict do nothing",
            Statement("insert into t(a) values ($1) on conflict do nothing", (("x",),)),
        ),
        (
            "select f(${.}, 'it''s', $$ body $$) -- done",
            Statement("select f($1, 'it''s', $$ body $$) -- done", (WHOLE,)),
        ),
    ],
)
def test_statements(template: str, expected: Statement) -> None:
    assert sql_template(template) == expected


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("", "empty"),
        ("insert into t(a) values ('dev-${x}')", "'text' || ${x}"),
        ('insert into "${x}"(a) values (1)', "inside"),
        ("insert into t(a) values (1) -- ${x}", "inside"),
        ("insert into t(a) values ($1)", "$1 has no value"),
        ("insert into t(a) values (${x)", "not closed"),
        ("insert into t(a) values (${})", "is no field"),
        ("insert into t(a) values (${a b})", "is no field"),
        ("insert into t(a) values (${a..b})", "is no field"),
    ],
)
def test_what_a_template_cannot_have(template: str, said: str) -> None:
    with pytest.raises(TemplateError) as caught:
        sql_template(template)
    assert said in str(caught.value)


@given(st.text())
def test_any_text_is_a_template_or_refused(template: str) -> None:
    try:
        statement = sql_template(template)
    except TemplateError:
        return
    assert "${" not in statement.sql


def test_lookup() -> None:
    output: dict[str, Any] = {"a": {"b": [10, {"c": 1}]}, "text": '{"x": 2}', "null": None}
    assert lookup(output, ("a", "b", "1")) == 10
    assert lookup(output, ("a", "b", "2", "c")) == 1
    assert lookup(output, ("text", "x")) == 2
    assert lookup(output, ("missing", "x")) is None
    assert lookup({"a": 1}, WHOLE) == '{"a":1}'


def test_texts() -> None:
    text = text_template("dev/${a.b}/${c}?${d}")
    assert text.render({"a": {"b": "x"}, "c": [1], "d": None}) == "dev/x/[1]?undefined"


@pytest.mark.parametrize(
    ("sql", "template", "missing"),
    [
        ('SELECT payload.a as a FROM "t"', "${a} ${a.deeper}", None),
        ('SELECT payload.a as a FROM "t"', "${b}", "b"),
        ('SELECT payload.a as x.y FROM "t"', "${x} ${x.y} ${x.y.z}", None),
        ('SELECT payload.a as x.y FROM "t"', "${x.z}", "x.z"),
        ('SELECT * FROM "t"', "${topic} ${payload.a} ${clientid}", None),
        ('SELECT *, 1 as one FROM "t"', "${one} ${two}", "two"),
        ('SELECT payload.a FROM "t"', "${payload.a} ${.}", None),
        ('SELECT payload.a FROM "t"', "${a}", "a"),
        ('FOREACH payload.l as i FROM "t"', "${i.a} ${topic}", None),
        ('FOREACH payload.l as i DO i.a as a FROM "t"', "${i}", "i"),
    ],
)
def test_a_field_that_the_rule_never_gives_is_named_at_definition(sql: str, template: str, missing: str | None) -> None:
    action = config.Republish(id="a", topic="x", payload=template)
    rule = config.Rule(id="r", sql=sql, actions=(action,))
    if missing is None:
        define(rule, {})
        return
    with pytest.raises(TemplateError) as caught:
        define(rule, {})
    assert caught.value.field == missing
    assert f"'{missing}'" in str(caught.value)


def test_an_action_without_its_resource_is_refused() -> None:
    action = config.Sql(id="a", resource="gone", sql="select ${a}")
    with pytest.raises(TemplateError, match="no resource 'gone'"):
        define(config.Rule(id="r", sql='SELECT payload.a as a FROM "t"', actions=(action,)), {})
