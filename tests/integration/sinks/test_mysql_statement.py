"""MySQL's templates: what becomes a parameter, what is refused, and which inserts take many rows."""

from __future__ import annotations

import pytest

from tieline.integration.rules.values.errors import TemplateError
from tieline.integration.sinks.mysql.statement import PARAMETERS, statement


@pytest.mark.parametrize(
    ("template", "sql", "two"),
    [
        ("insert into t(a) values (${a})", "insert into t(a) values (?)", "insert into t(a) values (?), (?)"),
        ("INSERT IGNORE t VALUES('${a}', 1) ;", "INSERT IGNORE t VALUES(?, 1)", "INSERT IGNORE t VALUES(?, 1), (?, 1)"),
        ("replace `x`.`t` value (f(${a}, ')'))", "replace `x`.`t` value (f(?, ')'))", None),
        ("insert into t values (${a}) on duplicate key update a = values(a)", None, None),
        ('insert into t values ("it\\"s", ${a})', 'insert into t values ("it\\"s", ?)', None),
        ("insert into t values ('it\\'s', ${a}) -- (", "insert into t values ('it\\'s', ?) -- (", "one"),
        ("insert into t values (${a}) on duplicate key update a = ${a}", None, "one"),
        ("insert into t values (${a}), (${b})", None, "one"),
        ("insert into t values ((select max(a) from t) + ${a})", None, "one"),
        ("insert into t select ${a}", "insert into t select ?", "one"),
        ("update t set a = ${a}", "update t set a = ?", "one"),
        ("insert into t values (1)", "insert into t values (1)", "one"),
    ],
)
def test_templates(template: str, sql: str | None, two: str | None) -> None:
    found = statement(template)
    assert sql is None or found.many(1) == sql
    if two == "one":
        assert found.most == 1
        assert not found.row
    else:
        assert found.many(2).count(found.row) == 2
        assert two is None or found.many(2) == two
        assert found.most * len(found.paths) <= PARAMETERS


@pytest.mark.parametrize(
    "template",
    [
        "",
        "insert into t values (?)",
        "insert into t values ('a ${a}')",
        "insert into t values ('it\\'s ${a}')",
        "insert into `${a}` values (1)",
        "insert into t values (1) # ${a}",
        "insert into t values (1) /* ${a} */",
        "insert into t values (${a",
        "insert into t values (${a b})",
    ],
)
def test_what_is_refused(template: str) -> None:
    with pytest.raises(TemplateError):
        statement(template)
