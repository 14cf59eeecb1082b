"""Any text gives a tree, or an error at a place in the text that says what could stand there."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tieline.integration.rules.compile.compile import compile_rule
from tieline.integration.rules.syntax import syntax
from tieline.integration.rules.syntax.parse import parse
from tieline.integration.rules.values.errors import RuleError

KEYWORDS = [
    *("select", "foreach", "do", "incase", "from", "where", "as", "and", "or", "not", "in"),
    *("case", "when", "then", "else", "end", "true", "false", "div", "mod"),
]
WORDS = [
    *KEYWORDS,
    *("payload", "temp", "topic", "upper", "qos", "x", "item", "1", "20", "3.5", "'a'", "'it''s'", '"t/#"', '"a"'),
    *("*", "+", "-", "/", "=", "!=", "<>", "<", ">", "<=", ">=", "=~", "(", ")", "[", "]", ",", ".", "..", "--", "\n"),
]


def fault(sql: str) -> RuleError:
    with pytest.raises(RuleError) as caught:
        compile_rule(sql)
    return caught.value


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join)))
@example("select 'abc")
@example("select " + "(" * 500)
@example("select a.")
def test_any_text_gives_a_tree_or_a_place_in_it(sql: str) -> None:
    try:
        compile_rule(sql)
    except RuleError as error:
        assert 0 <= error.offset <= len(sql)
        lines = sql.split("\n")
        assert 1 <= error.line <= len(lines)
        assert 1 <= error.column <= len(lines[error.line - 1]) + 1
        assert sql[error.offset :].startswith(error.found) or error.found == "" or error.found in sql


@pytest.mark.parametrize(
    ("sql", "line", "column", "found", "expected"),
    [
        ("", 1, 1, "", "SELECT"),
        ("SELECT", 1, 7, "", "an expression"),
        ('SELECT a FORM "t" WHERE b', 1, 15, '"t"', "FROM"),
        ("SELECT topic FROM 5", 1, 19, "5", 'a topic filter in "double quotes"'),
        ('SELECT topic\nFROM "t"\nWHERE', 3, 6, "", "an expression"),
        ('SELECT topic FROM "t" WHERE (qos = 1', 1, 37, "", "')'"),
        ('SELECT topic FROM "t" WHERE qos ~ 1', 1, 33, "~", "an operator"),
        ('SELECT \'abc FROM "t"', 1, 8, "'", "'"),
    ],
)
def test_a_grammar_error_says_where_and_what(sql: str, line: int, column: int, found: str, expected: str) -> None:
    error = fault(sql)
    assert (error.line, error.column, error.found) == (line, column, found)
    assert expected in error.expected


@pytest.mark.parametrize(
    ("sql", "column", "said"),
    [
        ('SELECT topc FROM "t"', 8, "did you mean topic?"),
        ('SELECT topic FROM "t" WHERE temp > 20', 29, "payload.temp"),
        ('SELECT topic FROM "t" WHERE payload.name = "sensor"', 44, "'single quotes'"),
        ('SELECT flor(1.5) FROM "t"', 8, "did you mean floor?"),
        ('SELECT abs(1, 2) FROM "t"', 8, "takes 1 argument, not 2"),
        ('SELECT topic FROM "t/#/x"', 19, "'#' stands alone"),
        ("SELECT topic FROM \"t\" WHERE topic =~ 'a#'", 38, "'#' stands alone"),
        ('SELECT clientid FROM "$events/message_delivered"', 22, "not told by the broker"),
        ('SELECT [3..1] FROM "t"', 8, "upwards"),
        ('SELECT 1e999 FROM "t"', 8, "too large"),
        ("SELECT " + "not " * 60 + 'true FROM "t"', 204, "at most 50 deep"),
    ],
)
def test_an_error_of_meaning_says_where_and_what(sql: str, column: int, said: str) -> None:
    error = fault(sql)
    assert (error.line, error.column) == (1, column)
    assert said in error.message


def test_keywords_are_names_after_a_dot_and_in_any_case() -> None:
    tree = parse('sElEcT payload.end.From x, payload."a b".1 fRoM "t" -- a comment\n WHERE payload.order = 1')
    assert isinstance(tree, syntax.Select)
    assert [c.of for c in tree.columns if isinstance(c, syntax.Column)] == [
        syntax.Get(7, syntax.Name(7, "payload"), ("end", "From")),
        syntax.Get(27, syntax.Name(27, "payload"), ("a b", syntax.Index(syntax.Const(41, 1)))),
    ]
